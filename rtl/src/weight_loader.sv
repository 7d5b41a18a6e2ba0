// Writes the weights of one fold after another into the array, one row every `row_cycles` cycles.
// Shifted weights wait until the fold before has left the array; weights that follow the wavefront start with its last row.
module weight_loader #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 8,
    parameter bit IS_WAVEFRONT = 0,
    parameter int BITS = 16,
    localparam int INDEX = $clog2(ROWS)
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             is_over,          // no fold is left
    input  logic             is_fetched,       // the step of the next fold is on chip
    input  logic [31:0]      fold,             // next to load
    input  logic [31:0]      streamed,         // folds whose stream has ended
    input  logic             is_streaming,     // a fold is in the middle of its stream
    input  logic             ends_stream,      // this cycle takes the last row of a stream
    input  logic [BITS-1:0]  row_cycles,
    output logic             weight_valid,     // this cycle writes a row of weights
    output logic [INDEX-1:0] weight_row,
    output logic             starts,
    output logic             finishes,
    output logic             has_first_row     // of the fold that is being loaded
);
  logic [INDEX-1:0] loaded;
  logic [BITS-1:0]  waited;
  logic [BITS-1:0]  draining;                  // cycles until the last activation has met its weight
  logic             is_busy, may_start;

  assign may_start = !is_over && is_fetched && (IS_WAVEFRONT
      ? (fold == streamed && !is_streaming) || (fold == streamed + 1 && ends_stream)
      : fold == streamed && !is_streaming && draining == 0);
  assign starts = !is_busy && may_start;
  assign weight_valid = (is_busy || starts) && waited + 1'b1 == row_cycles;
  assign weight_row = IS_WAVEFRONT ? loaded : INDEX'(ROWS - 1) - loaded;
  assign finishes = weight_valid && loaded == INDEX'(ROWS - 1);
  assign has_first_row = is_busy && loaded != 0;

  always_ff @(posedge clk) begin
    if (rst) begin
      loaded <= 0; waited <= 0; is_busy <= 0; draining <= 0;
    end else begin
      if (is_busy || starts) begin
        is_busy <= !finishes;
        waited  <= weight_valid ? '0 : waited + 1'b1;
        if (weight_valid) loaded <= finishes ? '0 : loaded + 1'b1;
      end
      if (ends_stream) draining <= BITS'(ROWS + COLUMNS - 3);
      else if (draining != 0) draining <= draining - 1'b1;
    end
  end
endmodule
