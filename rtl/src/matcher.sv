// Decides which earlier vector a key resembles most, one candidate a cycle, without division or root:
//     cosine(x, y) = d / (|x| |y|);  of two candidates the better has the larger d^2 / |y|^2, so compare d^2 |b|^2 with b^2 |y|^2;
//     similar if d^2 > t^2 |x|^2 |y|^2.
// Only d > 0 can match; among equals the first stays. FP16 vectors: every product is an FP32 product, in the order written in
// brackets below. INT8 vectors: exact integers, and t^2 is in units of 2^-16.
module matcher #(
    parameter bit IS_FLOAT = 1,
    parameter int INDEX = 10           // bits of a compact index
) (
    input  logic             clk,
    input  logic             start,            // the dot product is the key with itself
    input  logic             present,          // the dot product is the key with a candidate
    input  logic [31:0]      dot,
    input  logic [31:0]      candidate_norm,   // squared
    input  logic [INDEX-1:0] candidate_index,
    input  logic [31:0]      threshold,        // squared
    output logic [31:0]      key_norm,         // squared; valid from the cycle after start
    output logic             is_similar,       // including this cycle's candidate
    output logic [INDEX-1:0] match_index
);
  localparam int WIDE = IS_FLOAT ? 32 : 64;
  logic             has_best, is_better, is_candidate;
  logic [WIDE-1:0]  best_square, square, left, right, limit, now_square;
  logic [31:0]      best_norm, now_norm;
  logic [INDEX-1:0] best_index;

  assign is_candidate = present && !dot[31] && dot[30:0] != 0 && candidate_norm != 0;
  generate
    if (IS_FLOAT) begin : g_float
      logic [31:0] scaled;
      fp32_multiply u_square (.a(dot), .b(dot), .product(square));
      fp32_multiply u_left (.a(square), .b(best_norm), .product(left));
      fp32_multiply u_right (.a(best_square), .b(candidate_norm), .product(right));
      fp32_multiply u_scaled (.a(threshold), .b(key_norm), .product(scaled));   // (t^2 |x|^2)
      fp32_multiply u_limit (.a(scaled), .b(now_norm), .product(limit));        // (t^2 |x|^2) |y|^2
      assign is_similar = now_square > limit && (has_best || is_candidate);     // positive FP32 order like integers
    end else begin : g_integer
      assign square = {32'b0, dot} * {32'b0, dot};
      assign left   = square * {32'b0, best_norm};
      assign right  = best_square * {32'b0, candidate_norm};
      assign limit  = {32'b0, threshold} * ({32'b0, key_norm} * {32'b0, now_norm});
      assign is_similar = (now_square << 16) > limit && (has_best || is_candidate);
    end
  endgenerate
  assign is_better   = is_candidate && (!has_best || left > right);
  assign now_square  = is_better ? square : best_square;
  assign now_norm    = is_better ? candidate_norm : best_norm;
  assign match_index = is_better ? candidate_index : best_index;

  always_ff @(posedge clk) begin
    if (start) begin
      key_norm <= dot;
      has_best <= 0;
    end else if (is_better) begin
      has_best    <= 1;
      best_square <= square;
      best_norm   <= candidate_norm;
      best_index  <= candidate_index;
    end
  end
endmodule
