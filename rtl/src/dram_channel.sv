// A stub for DRAM: one transfer at a time, `denominator` units of work a cycle, where a transfer of b bytes is b x numerator of them; a
// fetch goes first. Data arrive `latency` cycles after a fetch has left the channel. Numerator 0: no time at all.
module dram_channel #(
    parameter int BITS = 16,
    parameter int LATENCY = 64          // largest latency
) (
    input  logic        clk,
    input  logic        rst,
    input  logic        fetch_valid,    // a fetch may begin
    input  logic [31:0] fetch_bytes,
    input  logic        write_valid,
    input  logic [31:0] write_bytes,
    input  logic [15:0] read_numerator,
    input  logic [15:0] write_numerator,
    input  logic [15:0] denominator,
    input  logic [$clog2(LATENCY)-1:0] latency,
    output logic        fetch_starts,
    output logic        fetch_ends,     // last cycle on the channel
    output logic        fetch_arrives,  // last cycle before the data can be used
    output logic        write_starts,
    output logic        write_ends
);
  logic [47:0] left, work, now;
  logic        is_write, is_idle, serves_write, ends;
  logic [LATENCY-1:0] underway;

  assign is_idle      = left == 0;
  assign fetch_starts = is_idle && fetch_valid;
  assign write_starts = is_idle && !fetch_valid && write_valid;
  assign work = fetch_starts ? 48'(fetch_bytes) * 48'(read_numerator) : 48'(write_bytes) * 48'(write_numerator);
  assign now  = is_idle ? work : left;
  assign ends = (!is_idle || fetch_starts || write_starts) && now <= 48'(denominator);
  assign serves_write = is_idle ? write_starts : is_write;
  assign fetch_ends = ends && !serves_write;
  assign write_ends = ends && serves_write;
  assign fetch_arrives = latency == 0 ? fetch_ends : underway[latency - 1'b1];

  always_ff @(posedge clk) begin
    if (rst) begin
      left <= 0; is_write <= 0; underway <= 0;
    end else begin
      if (!is_idle || fetch_starts || write_starts) left <= ends ? 48'b0 : now - 48'(denominator);
      if (is_idle) is_write <= write_starts;
      underway <= {underway[LATENCY-2:0], fetch_ends};
    end
  end
endmodule
