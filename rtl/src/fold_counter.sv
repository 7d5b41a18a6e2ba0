// Where a unit stands in the loops, outermost first: m-tile, n-buffer tile, k-slice, array column. A pass through the innermost is a
// fold, through the third a step, through the second a group.
module fold_counter #(
    parameter int BITS = 16
) (
    input  logic            clk,
    input  logic            rst,
    input  logic            advance,            // to the next fold; with `by_steps` to the first fold of the next step
    input  logic            by_steps,
    input  logic [BITS-1:0] tiles,
    input  logic [BITS-1:0] slices,
    input  logic [BITS-1:0] columns,            // array columns of the GEMM
    input  logic [BITS-1:0] columns_per_buffer,
    output logic [BITS-1:0] tile,
    output logic [BITS-1:0] slice,
    output logic [BITS-1:0] column,             // of the n-buffer tile
    output logic [BITS-1:0] first_column,       // of the n-buffer tile in the GEMM
    output logic [BITS-1:0] group_columns,      // columns of this n-buffer tile
    output logic [31:0]     fold,
    output logic [31:0]     step,
    output logic [31:0]     group,
    output logic            ends_step,
    output logic            ends_group,
    output logic            is_over
);
  assign group_columns = (columns - first_column < columns_per_buffer) ? columns - first_column : columns_per_buffer;
  assign ends_step  = by_steps || column + 1'b1 == group_columns;
  assign ends_group = ends_step && slice + 1'b1 == slices;
  assign is_over    = tile >= tiles;

  always_ff @(posedge clk) begin
    if (rst) begin
      tile <= 0; slice <= 0; column <= 0; first_column <= 0; fold <= 0; step <= 0; group <= 0;
    end else if (advance) begin
      fold   <= fold + 1;
      column <= ends_step ? '0 : column + 1'b1;
      if (ends_step) begin
        step  <= step + 1;
        slice <= ends_group ? '0 : slice + 1'b1;
      end
      if (ends_group) begin
        group <= group + 1;
        if (first_column + group_columns < columns) first_column <= first_column + group_columns;
        else begin
          first_column <= 0;
          tile <= tile + 1'b1;
        end
      end
    end
  end
endmodule
