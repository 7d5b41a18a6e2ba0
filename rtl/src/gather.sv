// Similarity gather of one n-buffer tile: for each array column, eight cycles a row. Cycle 0 reads the row, takes its norm and writes it
// to the layouter; cycles 1 to 7 compare it with the seven others of its 2 x 2 x 2 block. A row that resembles one takes over its
// compact index, else it gets the next. With means, each column ends with `mean_cycles` cycles a unique vector for reading them out.
module gather #(
    parameter int ELEMENTS = 32,
    parameter int TILE_ROWS = 1024,
    parameter int WINDOW = 32,
    parameter bit IS_FLOAT = 1,
    parameter int BITS = 16,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8,
    localparam int INDEX = $clog2(TILE_ROWS)
) (
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   start,           // a tile is there; held until `finished`
    input  logic [BITS-1:0]        rows,
    input  logic [BITS-1:0]        columns,
    input  logic [BITS-1:0]        start_position,  // of the token kept before this tile; 0 at first
    input  logic [BITS-1:0]        next_position,   // the same of the next n-buffer tile
    input  logic [31:0]            threshold,
    input  logic [4:0]             shift,
    input  logic [BITS-1:0]        mean_cycles,     // 0: no means
    input  logic [BITS-1:0]        frame_stride,
    input  logic [BITS-1:0]        row_stride,
    input  logic [BITS-1:0]        grid_rows,
    input  logic [BITS-1:0]        grid_columns,
    output logic [BITS-1:0]        row,             // which row and column of the output half to read
    output logic [BITS-1:0]        column,
    input  logic [ELEMENTS*32-1:0] values,
    input  logic [BITS-1:0]        offset,          // of this row's token from the one before
    output logic                   map_valid,
    output logic [INDEX-1:0]       map_index,
    output logic                   mean_valid,
    output logic [ELEMENTS*ELEMENT-1:0] mean,
    output logic                   finished,        // in its last cycle
    output logic [BITS-1:0]        last_position
);
  localparam int VECTOR = ELEMENTS * ELEMENT;
  localparam int PAYLOAD = VECTOR + 32 + INDEX;
  logic [2:0]      step;
  logic            is_reading_out, is_last_row, is_last_column, present, on_grid, is_similar, is_pass_over;
  logic [BITS-1:0] token_before, position, frame, grid_row, grid_column, groups, read, waited, groups_now;
  logic [VECTOR-1:0] vector, candidate;
  logic [31:0] dot, key_norm, candidate_norm, read_norm;
  logic [INDEX-1:0] candidate_index, match_index;
  logic [PAYLOAD-1:0] payload;

  genvar i;
  generate
    for (i = 0; i < ELEMENTS; i = i + 1) begin : g_element
      requantiser #(.IS_FLOAT(IS_FLOAT)) u_requantiser (
          .value(values[i*32 +: 32]), .shift(shift), .element(vector[i*ELEMENT +: ELEMENT]));
    end
  endgenerate

  position_decoder #(.BITS(BITS)) u_position (
      .previous(token_before), .offset(offset), .frame_stride(frame_stride), .row_stride(row_stride), .grid_rows(grid_rows),
      .grid_columns(grid_columns), .position(position), .frame(frame), .row(grid_row), .column(grid_column), .on_grid(on_grid));

  // The entry is written in the last cycle, when the compact index is known; no candidate of its own row reads it.
  layouter #(.DEPTH(WINDOW), .PAYLOAD(PAYLOAD), .BITS(BITS)) u_layouter (
      .clk(clk), .clear(rst || is_pass_over), .half_columns((grid_columns + 1'b1) >> 1), .write(map_valid && on_grid), .frame(frame),
      .row(grid_row), .column(grid_column), .payload_in({map_index, key_norm, vector}), .step(step), .present(present),
      .payload(payload));
  assign {candidate_index, read_norm, candidate} = payload;
  assign candidate_norm = read_norm;

  dot_unit #(.ELEMENTS(ELEMENTS), .IS_FLOAT(IS_FLOAT)) u_dot (.x(vector), .y(step == 0 ? vector : candidate), .dot(dot));
  matcher #(.IS_FLOAT(IS_FLOAT), .INDEX(INDEX)) u_matcher (
      .clk(clk), .start(step == 0), .present(present && on_grid && step != 0), .dot(dot), .candidate_norm(candidate_norm),
      .candidate_index(candidate_index), .threshold(threshold), .key_norm(key_norm), .is_similar(is_similar),
      .match_index(match_index));

  assign map_valid = start && !is_reading_out && step == 3'd7;
  assign map_index = is_similar ? match_index : groups[INDEX-1:0];
  assign groups_now = groups + {{(BITS-1){1'b0}}, !is_similar};
  group_mean #(.ELEMENTS(ELEMENTS), .GROUPS(TILE_ROWS), .IS_FLOAT(IS_FLOAT)) u_mean (
      .clk(clk), .add_row(map_valid && mean_cycles != 0), .is_first(!is_similar), .group_index(map_index), .vector(vector),
      .read_index(read[INDEX-1:0]), .means(mean));
  assign mean_valid = start && is_reading_out && waited == mean_cycles - 1'b1;

  assign is_last_row    = row + 1'b1 == rows;
  assign is_last_column = column + 1'b1 == columns;
  assign is_pass_over   = mean_cycles == 0 ? (map_valid && is_last_row) : (mean_valid && read + 1'b1 == groups);
  assign finished       = is_pass_over && is_last_column;
  assign last_position  = position;

  always_ff @(posedge clk) begin
    if (rst) begin
      step <= 0; row <= 0; column <= 0; groups <= 0; read <= 0; waited <= 0; is_reading_out <= 0;
      token_before <= start_position;
    end else if (!start) begin
      token_before <= start_position;
    end else begin
      if (!is_reading_out) begin
        step <= step + 3'd1;
        if (map_valid) begin
          groups <= groups_now;
          if (!is_last_row) begin
            row <= row + 1'b1;
            token_before <= position;
          end else if (mean_cycles != 0) is_reading_out <= 1;
        end
      end else begin
        waited <= mean_valid ? '0 : waited + 1'b1;
        if (mean_valid) read <= read + 1'b1;
      end
      if (is_pass_over) begin
        is_reading_out <= 0; read <= 0; groups <= 0; row <= 0; waited <= 0;
        token_before <= is_last_column ? next_position : start_position;
        column <= is_last_column ? '0 : column + 1'b1;
      end
    end
  end
endmodule
