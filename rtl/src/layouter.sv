// Window of recent vectors in eight banks, addressed by place: bank (frame, row, column) mod 2, address floor(row/2) ceil(columns/2) +
// floor(column/2), wrapped at the depth. The eight tokens of a 2 x 2 x 2 block lie in eight banks.
// An entry carries a tag of its place: what was overwritten because a frame has more addresses than a bank counts as absent. A bit
// for each entry tells whether it was written in this pass over a tile.
module layouter #(
    parameter int DEPTH = 32,          // vectors a bank; a power of two. 32 is the published 16 KB with 32 FP16 elements
    parameter int PAYLOAD = 512 + 32 + 10,
    parameter int BITS = 16,
    localparam int ADDRESS = $clog2(DEPTH)
) (
    input  logic               clk,
    input  logic               clear,       // the pass over a tile ends
    input  logic [BITS-1:0]    half_columns, // ceil(columns / 2)
    input  logic               write,
    input  logic [BITS-1:0]    frame,
    input  logic [BITS-1:0]    row,
    input  logic [BITS-1:0]    column,
    input  logic [PAYLOAD-1:0] payload_in,
    input  logic [2:0]         step,        // candidate: {frame, row, column} steps back
    output logic               present,
    output logic [PAYLOAD-1:0] payload
);
  localparam int TAG = 2 * BITS;
  logic [PAYLOAD-1:0] vectors [8*DEPTH];
  logic [TAG-1:0]     tags [8*DEPTH];      // {frame, address}

  logic [BITS-1:0] own_address, frame_back, row_back, column_back, address;
  logic [2:0] own_bank, bank;
  logic [TAG-1:0] found;
  logic [8*DEPTH-1:0] is_written;

  assign own_bank    = {frame[0], row[0], column[0]};
  assign own_address = (row >> 1) * half_columns + (column >> 1);
  assign frame_back  = frame - {{(BITS-1){1'b0}}, step[2]};
  assign row_back    = row - {{(BITS-1){1'b0}}, step[1]};
  assign column_back = column - {{(BITS-1){1'b0}}, step[0]};
  assign bank        = {frame_back[0], row_back[0], column_back[0]};
  assign address     = (row_back >> 1) * half_columns + (column_back >> 1);

  assign found   = tags[{bank, address[ADDRESS-1:0]}];
  assign payload = vectors[{bank, address[ADDRESS-1:0]}];
  assign present = is_written[{bank, address[ADDRESS-1:0]}] && found == {frame_back, address}
                   && !(step[2] && frame == 0) && !(step[1] && row == 0) && !(step[0] && column == 0);

  always_ff @(posedge clk) begin
    if (write) begin
      vectors[{own_bank, own_address[ADDRESS-1:0]}] <= payload_in;
      tags[{own_bank, own_address[ADDRESS-1:0]}] <= {frame, own_address};
    end
    if (clear) is_written <= '0;
    else if (write) is_written[{own_bank, own_address[ADDRESS-1:0]}] <= 1'b1;
  end
endmodule
