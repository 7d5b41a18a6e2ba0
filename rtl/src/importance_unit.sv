// Streaming maximum over heads and text queries: each cycle takes the attention that one text token of one head pays to LANES visual
// tokens and keeps the larger of it and what is stored. Attention is not negative, so FP16 orders like integers.
module importance_unit #(
    parameter int LANES = 32,          // a; a power of two
    parameter int TOKENS = 12800,      // largest number of visual tokens; 12,736 x 2 bytes are the published 25 KB
    localparam int WORDS = (TOKENS + LANES - 1) / LANES,
    localparam int ADDRESS = $clog2(WORDS),
    localparam int INDEX = $clog2(TOKENS)
) (
    input  logic                clk,
    input  logic                valid,
    input  logic                is_first,     // the first text token of the first head: replace
    input  logic [ADDRESS-1:0]  address,      // tokens LANES x address and on
    input  logic [LANES*16-1:0] attention,
    input  logic [INDEX-1:0]    read_token,
    output logic [15:0]         read_importance
);
  logic [LANES*16-1:0] importance [WORDS];
  logic [LANES*16-1:0] old, larger, shown;
  assign old = importance[address];
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      assign larger[i*16 +: 16] = (is_first || attention[i*16 +: 16] > old[i*16 +: 16]) ? attention[i*16 +: 16] : old[i*16 +: 16];
    end
  endgenerate
  always_ff @(posedge clk) if (valid) importance[address] <= larger;
  assign shown = importance[ADDRESS'(read_token >> $clog2(LANES))];
  assign read_importance = shown[($clog2(LANES) + 4)'({read_token, 4'b0}) +: 16];
endmodule
