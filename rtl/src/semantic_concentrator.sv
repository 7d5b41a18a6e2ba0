// Importance of visual tokens, the k most important of them, and their offsets: three units over one buffer, one after the other.
module semantic_concentrator #(
    parameter int LANES = 32,
    parameter int TOKENS = 12800,
    localparam int WORDS = (TOKENS + LANES - 1) / LANES,
    localparam int ADDRESS = $clog2(WORDS),
    localparam int INDEX = $clog2(TOKENS)
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                valid,
    input  logic                is_first,
    input  logic [ADDRESS-1:0]  address,
    input  logic [LANES*16-1:0] attention,
    input  logic                start,        // the importance of all tokens is there
    input  logic [INDEX:0]      tokens,
    input  logic [INDEX:0]      kept,
    output logic                sorted,
    output logic                offset_valid,
    output logic [INDEX-1:0]    offset,
    output logic                encoded
);
  logic [INDEX-1:0] sorter_token, encoder_token;
  logic [15:0] importance;
  logic [16+INDEX-1:0] last_key;
  logic is_sorting, starts_encoding;
  importance_unit #(.LANES(LANES), .TOKENS(TOKENS)) u_importance (
      .clk(clk), .valid(valid), .is_first(is_first), .address(address), .attention(attention),
      .read_token(is_sorting ? sorter_token : encoder_token), .read_importance(importance));
  token_sorter #(.LANES(LANES), .TOKENS(TOKENS)) u_sorter (
      .clk(clk), .rst(rst), .start(start), .tokens(tokens), .kept(kept), .token(sorter_token), .importance(importance),
      .finished(sorted), .last_key(last_key));
  offset_encoder #(.INDEX(INDEX)) u_encoder (
      .clk(clk), .rst(rst), .start(starts_encoding), .tokens(tokens), .last_key(last_key), .token(encoder_token),
      .importance(importance), .valid(offset_valid), .offset(offset), .finished(encoded));
  always_ff @(posedge clk) begin
    if (rst) begin
      is_sorting <= 0; starts_encoding <= 0;
    end else begin
      is_sorting <= start || (is_sorting && !sorted);
      starts_encoding <= sorted;
    end
  end
endmodule
