// Streams over all tokens once and gives, for each one kept, its distance from the one kept before (the first: from token 0).
// Kept are the tokens whose key is not below that of the k-th largest.
module offset_encoder #(
    parameter int INDEX = 14,
    localparam int KEY = 16 + INDEX
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             start,
    input  logic [INDEX:0]   tokens,
    input  logic [KEY-1:0]   last_key,
    output logic [INDEX-1:0] token,
    input  logic [15:0]      importance,
    output logic             valid,
    output logic [INDEX-1:0] offset,
    output logic             finished
);
  logic is_busy;
  logic [INDEX:0] count;
  logic [INDEX-1:0] kept_before;
  assign token    = count[INDEX-1:0];
  assign valid    = is_busy && {importance, ~token} >= last_key;
  assign offset   = token - kept_before;
  assign finished = is_busy && count + 1'b1 == tokens;
  always_ff @(posedge clk) begin
    if (rst) is_busy <= 0;
    else if (start) begin
      is_busy <= 1; count <= 0; kept_before <= 0;
    end else if (is_busy) begin
      count <= count + 1'b1;
      is_busy <= !finished;
      if (valid) kept_before <= token;
    end
  end
endmodule
