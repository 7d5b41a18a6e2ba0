// Offset of a kept token from the one kept before -> (frame, row, column) on the grid of all visual tokens.
// Tokens off the grid (ends of rows, frame markers) have no place and match nothing.
module position_decoder #(
    parameter int BITS = 16
) (
    input  logic [BITS-1:0] previous,        // position of the token kept before; 0 at first
    input  logic [BITS-1:0] offset,
    input  logic [BITS-1:0] frame_stride,    // tokens from a frame to the next
    input  logic [BITS-1:0] row_stride,      // tokens from a row to the next
    input  logic [BITS-1:0] grid_rows,
    input  logic [BITS-1:0] grid_columns,
    output logic [BITS-1:0] position,
    output logic [BITS-1:0] frame,
    output logic [BITS-1:0] row,
    output logic [BITS-1:0] column,
    output logic            on_grid
);
  logic [BITS-1:0] in_frame;
  assign position = previous + offset;
  assign frame    = position / frame_stride;
  assign in_frame   = position % frame_stride;
  assign row      = in_frame / row_stride;
  assign column   = in_frame % row_stride;
  assign on_grid  = row < grid_rows && column < grid_columns;
endmodule
