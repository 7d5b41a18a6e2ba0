// Weight-stationary array. A row of ROWS activations goes in, COLUMNS sums come out ROWS + COLUMNS - 1 cycles later, one row a cycle.
// Rows go in and come out whole: skew and de-skew registers are inside.
//
// Weights, one row of COLUMNS a cycle:
//   IS_WAVEFRONT = 0: they shift down the columns, so the last row of the matrix comes first; nothing may be in flight.
//   IS_WAVEFRONT = 1: the row for array row `weight_row` is written there, in column c after c cycles. So the weights of
//   the next fold follow the last activations of this one through the array, and no second register is needed.
module systolic_array #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 8,
    parameter bit IS_FLOAT = 1,
    parameter bit IS_WAVEFRONT = 0,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8,
    localparam int INDEX = $clog2(ROWS)
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       weight_valid,
    input  logic [INDEX-1:0]           weight_row,
    input  logic [COLUMNS*ELEMENT-1:0] weights,
    input  logic                       row_valid,
    input  logic [ROWS*ELEMENT-1:0]    row,
    output logic                       sums_valid,
    output logic [COLUMNS*32-1:0]      sums
);
  logic [ELEMENT-1:0] lane [ROWS];                      // activation that enters array row r
  logic [ELEMENT-1:0] weight_bus [COLUMNS];             // weight on its way to column c
  logic [INDEX:0]     weight_tag [COLUMNS];             // {valid, array row}
  logic [ELEMENT-1:0] activation [ROWS*COLUMNS];
  logic [ELEMENT-1:0] weight [ROWS*COLUMNS];
  logic [31:0]        partial [ROWS*COLUMNS];
  logic [ROWS+COLUMNS-2:0] in_flight;

  genvar r, c;
  generate
    for (r = 0; r < ROWS; r = r + 1) begin : g_lane
      delay_line #(.BITS(ELEMENT), .CYCLES(r)) u_skew (
          .clk(clk), .word_in(row_valid ? row[r*ELEMENT +: ELEMENT] : {ELEMENT{1'b0}}), .word(lane[r]));
    end
    for (c = 0; c < COLUMNS; c = c + 1) begin : g_column
      delay_line #(.BITS(ELEMENT), .CYCLES(IS_WAVEFRONT ? c : 0)) u_bus (
          .clk(clk), .word_in(weights[c*ELEMENT +: ELEMENT]), .word(weight_bus[c]));
      delay_line #(.BITS(INDEX + 1), .CYCLES(IS_WAVEFRONT ? c : 0)) u_tag (
          .clk(clk), .word_in({weight_valid, weight_row}), .word(weight_tag[c]));
      delay_line #(.BITS(32), .CYCLES(COLUMNS - 1 - c)) u_deskew (
          .clk(clk), .word_in(partial[(ROWS-1)*COLUMNS+c]), .word(sums[c*32 +: 32]));
    end
    for (r = 0; r < ROWS; r = r + 1) begin : g_row
      for (c = 0; c < COLUMNS; c = c + 1) begin : g_element
        logic load;
        logic [ELEMENT-1:0] from_left, weight_in;
        logic [31:0] from_above;
        if (IS_WAVEFRONT) begin : g_wavefront
          assign load = weight_tag[c] == {1'b1, INDEX'(r)};
          assign weight_in = weight_bus[c];
        end else begin : g_shift
          assign load = weight_tag[c][INDEX];
          if (r == 0) begin : g_top
            assign weight_in = weight_bus[c];
          end else begin : g_below
            assign weight_in = weight[(r-1)*COLUMNS+c];
          end
        end
        if (c == 0) begin : g_left
          assign from_left = lane[r];
        end else begin : g_inner
          assign from_left = activation[r*COLUMNS+c-1];
        end
        if (r == 0) begin : g_first
          assign from_above = 32'b0;
        end else begin : g_next
          assign from_above = partial[(r-1)*COLUMNS+c];
        end
        processing_element #(.IS_FLOAT(IS_FLOAT)) u_element (
            .clk(clk), .load(load), .weight_in(weight_in), .weight(weight[r*COLUMNS+c]),
            .activation_in(from_left), .activation(activation[r*COLUMNS+c]),
            .partial_in(from_above), .partial(partial[r*COLUMNS+c]));
      end
    end
  endgenerate

  always_ff @(posedge clk) in_flight <= rst ? '0 : {in_flight[ROWS+COLUMNS-3:0], row_valid};
  assign sums_valid = in_flight[ROWS+COLUMNS-2];
endmodule
