// Finds the k-th largest importance: passes over all tokens, each of which finds the next LANES in a chain of cells.
// A key is {importance, not index}, so among equals the earlier token is the larger. A later pass admits only keys below the last one
// found; so neither a list nor a mask of what was found is kept. A pass takes `tokens` cycles and LANES more for the chain to settle.
module token_sorter #(
    parameter int LANES = 32,
    parameter int TOKENS = 12800,
    localparam int INDEX = $clog2(TOKENS),
    localparam int KEY = 16 + INDEX
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             start,
    input  logic [INDEX:0]   tokens,
    input  logic [INDEX:0]   kept,            // k, 1 to `tokens`
    output logic [INDEX-1:0] token,           // whose importance is read
    input  logic [15:0]      importance,
    output logic             finished,        // in the last cycle
    output logic [KEY-1:0]   last_key         // of the k-th largest; valid after `finished`
);
  logic is_busy, is_first_pass, clear, ends_pass;
  logic [INDEX:0] count, left;
  logic [LANES:0] valid;
  logic [KEY-1:0] key [LANES+1];
  logic [LANES-1:0] holds;
  logic [KEY-1:0] held [LANES];

  assign token    = count[INDEX-1:0];
  assign key[0]   = {importance, ~token};
  assign valid[0] = is_busy && count < tokens && (is_first_pass || key[0] < last_key);
  assign ends_pass = is_busy && count == tokens + (INDEX+1)'(LANES - 1);
  assign finished  = ends_pass && left <= (INDEX+1)'(LANES);
  assign clear = rst || ends_pass;
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_cell
      sorter_cell #(.KEY(KEY)) u_cell (
          .clk(clk), .clear(clear), .valid_in(valid[i]), .key_in(key[i]), .valid(valid[i+1]), .key(key[i+1]), .holds(holds[i]),
          .held(held[i]));
    end
  endgenerate

  always_ff @(posedge clk) begin
    if (rst) begin
      is_busy <= 0; count <= 0; is_first_pass <= 1; left <= 0;
    end else if (start) begin
      is_busy <= 1; count <= 0; is_first_pass <= 1; left <= kept;
    end else if (ends_pass) begin
      last_key <= held[finished ? ($clog2(LANES))'(left - 1'b1) : ($clog2(LANES))'(LANES - 1)];
      is_first_pass <= 0;
      left <= left - (INDEX+1)'(LANES);
      count <= 0;
      is_busy <= !finished;
    end else if (is_busy) count <= count + 1'b1;
  end
endmodule
