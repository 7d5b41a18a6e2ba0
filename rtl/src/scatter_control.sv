// Which rows the scatter lanes restore in this cycle: the next `lanes` in order, as long as the unique vector of each is there and the
// ports allow it. While a single-ported output half is read, as many unique vectors are read too, and kept for the cycle that writes.
module scatter_control #(
    parameter int LANES = 4,
    parameter int BITS = 16
) (
    input  logic                  clk,
    input  logic                  rst,
    input  logic                  active,           // a fold is there to scatter, or on its way
    input  logic                  is_complete,      // all of its unique vectors are there
    input  logic [BITS-1:0]       arrived,          // unique vectors that are there, if it is not complete
    input  logic [BITS-1:0]       rows,
    input  logic [BITS-1:0]       lanes,            // n_s, at most LANES
    input  logic [BITS-1:0]       read_ports,       // different vectors read from the concentrate half a cycle; 0: any
    input  logic                  is_single_ported, // the output half reads in one cycle and writes in the next
    input  logic                  is_first_slice,   // nothing has to be read from the output half
    input  logic [LANES*BITS-1:0] map_index,        // of rows `row`, `row` + 1, ...
    output logic [BITS-1:0]       row,
    output logic [LANES-1:0]      take,             // a prefix of the lanes
    output logic                  reads_old,        // this cycle reads the output half for the next
    output logic [LANES-1:0]      keep,             // lanes whose vector is read in this cycle and kept
    output logic [LANES-1:0]      kept,             // lanes whose vector was read a cycle before
    output logic                  finished          // in the last cycle of a fold
);
  logic [BITS-1:0] taken, reads, last_index;
  logic [LANES-1:0] is_there;
  logic            fits, has_read, is_read_phase, is_write_phase;
  int              lane;

  assign is_read_phase = is_single_ported && !is_first_slice && !is_write_phase;
  always_comb begin
    is_there = '0; taken = 0; reads = 0; last_index = 0; has_read = 0;
    fits = active;
    for (lane = 0; lane < LANES; lane = lane + 1) begin
      if (fits && BITS'(lane) < lanes && row + BITS'(lane) < rows) begin
        // Neighbours that share a vector share the read.
        if (!kept[lane] && (!has_read || map_index[lane*BITS +: BITS] != last_index)) reads = reads + 1'b1;
        fits = (read_ports == 0 || reads <= read_ports) && (is_complete || map_index[lane*BITS +: BITS] < arrived);
        has_read = 1;
        last_index = map_index[lane*BITS +: BITS];
        is_there[lane] = fits;
        if (fits && !is_read_phase) taken = taken + 1'b1;
      end
    end
  end
  assign take = is_read_phase ? '0 : is_there;
  assign keep = is_read_phase ? is_there : '0;
  assign reads_old = active && is_read_phase;
  assign finished = active && taken != 0 && row + taken == rows;

  always_ff @(posedge clk) begin
    if (rst) begin
      row <= 0;
      is_write_phase <= 0;
      kept <= '0;
    end else begin
      row <= finished ? '0 : row + taken;
      // Rows whose vectors were kept are all taken a cycle later.
      kept <= keep;
      // What was read waits until its vectors have arrived.
      is_write_phase <= active && (is_read_phase || (is_write_phase && taken == 0));
    end
  end
endmodule
