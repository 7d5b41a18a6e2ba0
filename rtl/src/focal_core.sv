// One GEMM on an array with concentration: DRAM, weight loader, array, concentrate halves, scatter lanes, output halves, gather.
// Every unit stands somewhere in the same loops and asks by number for what it needs next: counts, rows, weights, map. The answers
// come from descriptor memories and input buffers outside, in the same cycle. `event_*` tell what begins or ends in a cycle.
module focal_core #(
    parameter int ROWS = 8,              // h
    parameter int COLUMNS = 8,           // w
    parameter bit IS_FLOAT = 1,
    parameter bit IS_WAVEFRONT = 0,
    parameter int TILE_ROWS = 256,       // most rows of an m-tile
    parameter int BUFFER_COLUMNS = 4,    // most array columns of an n-buffer tile
    parameter int LANES = 4,             // most scatter lanes
    parameter int WINDOW = 64,           // vectors of a layouter bank
    parameter int BITS = 16,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8,
    localparam int INDEX = $clog2(TILE_ROWS)
) (
    input  logic clk,
    input  logic rst,
    // the GEMM
    input  logic [BITS-1:0] tiles, slices, columns, columns_per_buffer, outputs,
    // options
    input  logic [BITS-1:0] lanes,       // n_s; 0: the array accumulates directly
    input  logic [BITS-1:0] read_ports,
    input  logic            is_single_ported,
    input  logic            has_gather,
    input  logic [BITS-1:0] mean_cycles,
    input  logic [BITS-1:0] weight_row_cycles,
    input  logic [31:0]     threshold,
    input  logic [4:0]      shift,
    input  logic [BITS-1:0] frame_stride, row_stride, grid_rows, grid_columns,
    input  logic [15:0]     read_numerator, write_numerator, denominator,
    input  logic [5:0]      latency,
    input  logic [BITS-1:0] map_read_bytes, map_write_bytes,
    // descriptors: what is asked, and the answer
    output logic [BITS-1:0] fetch_tile, fetch_slice,
    input  logic [BITS-1:0] fetch_unique, fetch_rows,
    output logic [BITS-1:0] write_tile,
    input  logic [BITS-1:0] write_rows, write_output_rows,
    output logic [BITS-1:0] load_slice, load_column,
    output logic [$clog2(ROWS)-1:0] load_row,
    input  logic [COLUMNS*ELEMENT-1:0] weights,
    output logic [BITS-1:0] stream_tile, stream_slice, stream_row,
    input  logic [BITS-1:0] stream_unique,
    input  logic [ROWS*ELEMENT-1:0] stream_vector,
    output logic [BITS-1:0] collect_tile, collect_slice,
    input  logic [BITS-1:0] collect_unique,
    output logic [BITS-1:0] scatter_tile, scatter_slice, scatter_row,
    input  logic [BITS-1:0] scatter_rows,
    input  logic [LANES*BITS-1:0] scatter_map,
    output logic [BITS-1:0] gather_tile, gather_row,
    input  logic [BITS-1:0] gather_rows, gather_offset,
    // results
    output logic             map_valid,
    output logic [INDEX-1:0] map_index,
    output logic             mean_valid,
    output logic [COLUMNS*ELEMENT-1:0] mean,
    output logic [31:0]      groups_scattered,
    // events, each with its number
    output logic event_fetch_starts, event_fetch_arrives, event_load_starts, event_load_ends, event_stream_starts, event_stream_ends,
    output logic event_drained, event_scattered, event_gathered, event_write_starts, event_written,
    output logic [31:0] fetch_step, load_fold, stream_fold, collect_fold, scatter_fold, gather_group, write_group,
    output logic [31:0] steps_fetched,
    output logic        is_over
);
  localparam int ROW = COLUMNS * 32;
  logic [BITS-1:0] fetch_first, write_first, write_columns, load_first, load_step_column, stream_column, collect_column, scatter_column;
  logic [BITS-1:0] scatter_columns, gather_columns, gather_column;
  logic [31:0] load_step, stream_step, stream_group, collect_group, scatter_group, groups_gathered, groups_written;
  logic load_over, stream_over, fetch_over, write_over, collect_over, scatter_over, gather_over;
  logic collect_ends_group, scatter_ends_group;
  // ---- DRAM
  logic fetch_ends, write_ends, is_direct;
  logic [BITS-1:0] fetch_width, write_width;
  logic [31:0] fetch_bytes, write_bytes;
  localparam int ELEMENT_BYTES = ELEMENT / 8;

  assign is_direct = lanes == 0;
  fold_counter #(.BITS(BITS)) u_fetch (
      .clk(clk), .rst(rst), .advance(fetch_ends), .by_steps(1'b1), .tiles(tiles), .slices(slices), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(fetch_tile), .slice(fetch_slice), .column(), .first_column(fetch_first),
      .group_columns(), .fold(), .step(fetch_step), .group(), .ends_step(), .ends_group(), .is_over(fetch_over));
  fold_counter #(.BITS(BITS)) u_write (
      .clk(clk), .rst(rst), .advance(write_ends), .by_steps(1'b1), .tiles(tiles), .slices(16'd1), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(write_tile), .slice(), .column(), .first_column(write_first),
      .group_columns(write_columns), .fold(), .step(write_group), .group(), .ends_step(), .ends_group(), .is_over(write_over));

  // Outputs of this n-buffer tile; the last may be cut within an array column.
  function automatic [BITS-1:0] width_of(input [BITS-1:0] first_column, input [BITS-1:0] all, input [BITS-1:0] most);
    logic [BITS-1:0] rest;
    rest = all - first_column * BITS'(COLUMNS);
    width_of = (rest < most * BITS'(COLUMNS)) ? rest : most * BITS'(COLUMNS);
  endfunction
  assign fetch_width = width_of(fetch_first, outputs, columns_per_buffer);
  assign write_width = width_of(write_first, outputs, columns_per_buffer);
  assign fetch_bytes = (32'(fetch_unique) + 32'(fetch_width)) * ROWS * ELEMENT_BYTES + 32'(fetch_rows) * 32'(map_read_bytes);
  assign write_bytes = 32'(write_output_rows) * 32'(write_width) * ELEMENT_BYTES
                       + 32'(write_rows) * 32'(write_columns) * 32'(map_write_bytes);
  dram_channel u_dram (
      .clk(clk), .rst(rst),
      // A buffer half is free once the step before the last has been streamed.
      .fetch_valid(read_numerator != 0 && !fetch_over && fetch_step < stream_step + 2), .fetch_bytes(fetch_bytes),
      .write_valid(write_numerator != 0 && !write_over && groups_written < groups_gathered), .write_bytes(write_bytes),
      .read_numerator(read_numerator), .write_numerator(write_numerator), .denominator(denominator), .latency(latency),
      .fetch_starts(event_fetch_starts), .fetch_ends(fetch_ends), .fetch_arrives(event_fetch_arrives),
      .write_starts(event_write_starts), .write_ends(write_ends));
  assign event_written = write_ends;
  assign groups_written = (write_numerator == 0) ? groups_gathered : write_group;
  always_ff @(posedge clk) steps_fetched <= rst ? 0 : steps_fetched + {31'b0, event_fetch_arrives};

  // ---- weights
  logic weight_valid, has_first_row, stream_now, stream_last;
  fold_counter #(.BITS(BITS)) u_load (
      .clk(clk), .rst(rst), .advance(event_load_ends), .by_steps(1'b0), .tiles(tiles), .slices(slices), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(), .slice(load_slice), .column(load_step_column), .first_column(load_first),
      .group_columns(), .fold(load_fold), .step(load_step), .group(), .ends_step(), .ends_group(), .is_over(load_over));
  assign load_column = load_first + load_step_column;
  weight_loader #(.ROWS(ROWS), .COLUMNS(COLUMNS), .IS_WAVEFRONT(IS_WAVEFRONT), .BITS(BITS)) u_loader (
      .clk(clk), .rst(rst), .is_over(load_over), .is_fetched(read_numerator == 0 || load_step < steps_fetched), .fold(load_fold),
      .streamed(stream_fold), .is_streaming(stream_row != 0), .ends_stream(event_stream_ends), .row_cycles(weight_row_cycles),
      .weight_valid(weight_valid), .weight_row(load_row), .starts(event_load_starts), .finishes(event_load_ends),
      .has_first_row(has_first_row));

  // ---- stream
  logic is_loaded, has_concentrate_half, has_output_half;
  fold_counter #(.BITS(BITS)) u_stream (
      .clk(clk), .rst(rst), .advance(event_stream_ends), .by_steps(1'b0), .tiles(tiles), .slices(slices), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(stream_tile), .slice(stream_slice), .column(stream_column), .first_column(),
      .group_columns(), .fold(stream_fold), .step(stream_step), .group(stream_group), .ends_step(), .ends_group(),
      .is_over(stream_over));
  assign is_loaded = load_fold > stream_fold || (IS_WAVEFRONT && load_fold == stream_fold && has_first_row);
  // Two folds at most are on their way: one for each concentrate half, or for each set of numbers that the collector keeps.
  assign has_concentrate_half = (is_direct ? collect_fold : scatter_fold) + 2 > stream_fold;
  assign has_output_half = groups_written + 2 > stream_group;
  assign stream_now = !stream_over && (stream_row != 0 || (is_loaded && has_concentrate_half && has_output_half));
  assign stream_last = stream_row + 1'b1 == stream_unique;
  assign event_stream_starts = stream_now && stream_row == 0;
  assign event_stream_ends = stream_now && stream_last;
  always_ff @(posedge clk) begin
    if (rst) stream_row <= 0;
    else if (stream_now) stream_row <= stream_last ? '0 : stream_row + 1'b1;
  end

  // ---- array
  logic sums_valid;
  logic [ROW-1:0] sums;
  systolic_array #(.ROWS(ROWS), .COLUMNS(COLUMNS), .IS_FLOAT(IS_FLOAT), .IS_WAVEFRONT(IS_WAVEFRONT)) u_array (
      .clk(clk), .rst(rst), .weight_valid(weight_valid), .weight_row(load_row), .weights(weights), .row_valid(stream_now),
      .row(stream_vector), .sums_valid(sums_valid), .sums(sums));

  // ---- concentrate halves: one fold each, in turn
  logic [ROW-1:0] concentrate [2*TILE_ROWS];
  logic [BITS-1:0] collect_row;
  logic collect_last;
  fold_counter #(.BITS(BITS)) u_collect (
      .clk(clk), .rst(rst), .advance(event_drained), .by_steps(1'b0), .tiles(tiles), .slices(slices), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(collect_tile), .slice(collect_slice), .column(collect_column), .first_column(),
      .group_columns(), .fold(collect_fold), .step(), .group(collect_group), .ends_step(), .ends_group(collect_ends_group),
      .is_over(collect_over));
  assign collect_last = collect_row + 1'b1 == collect_unique;
  assign event_drained = sums_valid && collect_last;
  always_ff @(posedge clk) begin
    if (rst) collect_row <= 0;
    else if (sums_valid) collect_row <= collect_last ? '0 : collect_row + 1'b1;
    if (sums_valid && !is_direct) concentrate[{collect_fold[0], collect_row[INDEX-1:0]}] <= sums;
  end

  // ---- scatter lanes and output halves
  logic [ROW-1:0] outputs_held [2*BUFFER_COLUMNS*TILE_ROWS];
  logic [LANES-1:0] take, keep, kept;
  logic scatter_last, reads_old;
  fold_counter #(.BITS(BITS)) u_scatter (
      .clk(clk), .rst(rst), .advance(scatter_last), .by_steps(1'b0), .tiles(tiles), .slices(slices), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(scatter_tile), .slice(scatter_slice), .column(scatter_column), .first_column(),
      .group_columns(scatter_columns), .fold(scatter_fold), .step(), .group(scatter_group), .ends_step(),
      .ends_group(scatter_ends_group), .is_over(scatter_over));
  scatter_control #(.LANES(LANES), .BITS(BITS)) u_scatter_control (
      .clk(clk), .rst(rst), .active(!is_direct && !scatter_over && scatter_fold <= collect_fold),
      .is_complete(collect_fold > scatter_fold), .arrived(collect_row), .rows(scatter_rows), .lanes(lanes), .read_ports(read_ports),
      .is_single_ported(is_single_ported), .is_first_slice(scatter_slice == 0), .map_index(scatter_map), .row(scatter_row),
      .take(take), .reads_old(reads_old), .keep(keep), .kept(kept), .finished(scatter_last));
  assign event_scattered = scatter_last;

  function automatic [31:0] place(input logic half, input logic [BITS-1:0] column, input logic [BITS-1:0] row);
    place = (32'(half) * BUFFER_COLUMNS + 32'(column)) * TILE_ROWS + 32'(row);
  endfunction
  logic [LANES*32-1:0] places;
  logic [LANES*ROW-1:0] restored;
  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
      logic [ROW-1:0] value, read_value, kept_value, read_old, kept_old;
      assign places[lane*32 +: 32] = (is_direct && lane == 0) ? place(collect_group[0], collect_column, collect_row)
          : place(scatter_group[0], scatter_column, scatter_row + BITS'(lane));
      assign read_value = concentrate[{scatter_fold[0], scatter_map[lane*BITS +: INDEX]}];
      assign read_old = outputs_held[places[lane*32 +: 32]];
      // What single ports deliver a cycle before the row is written.
      always_ff @(posedge clk) begin
        if (keep[lane]) kept_value <= read_value;
        if (reads_old) kept_old <= read_old;
      end
      assign value = (is_direct && lane == 0) ? sums : kept[lane] ? kept_value : read_value;
      accumulator #(.ELEMENTS(COLUMNS), .IS_FLOAT(IS_FLOAT)) u_accumulator (
          .is_first((is_direct ? collect_slice : scatter_slice) == 0), .value(value),
          .old(is_single_ported && !is_direct ? kept_old : read_old), .sum(restored[lane*ROW +: ROW]));
    end
  endgenerate
  always_ff @(posedge clk) begin
    for (int i = 0; i < LANES; i = i + 1)
      if (take[i] || (is_direct && i == 0 && sums_valid)) outputs_held[places[i*32 +: 32]] <= restored[i*ROW +: ROW];
    if (rst) groups_scattered <= 0;
    else if (is_direct ? event_drained && collect_ends_group : scatter_last && scatter_ends_group)
      groups_scattered <= groups_scattered + 1;
  end

  // ---- gather
  logic gather_finished, gather_start;
  logic [BITS-1:0] tile_position, last_position, next_position, gather_first;
  assign gather_start = has_gather && !gather_over && gather_group < groups_scattered;
  fold_counter #(.BITS(BITS)) u_gather_counter (
      .clk(clk), .rst(rst), .advance(gather_finished), .by_steps(1'b1), .tiles(tiles), .slices(16'd1), .columns(columns),
      .columns_per_buffer(columns_per_buffer), .tile(gather_tile), .slice(), .column(), .first_column(gather_first),
      .group_columns(gather_columns), .fold(), .step(gather_group), .group(), .ends_step(), .ends_group(), .is_over(gather_over));
  // The n-buffer tiles of an m-tile hold the same tokens.
  assign next_position = (gather_first + gather_columns == columns) ? last_position : tile_position;
  always_ff @(posedge clk) begin
    if (rst) tile_position <= 0;
    else if (gather_finished) tile_position <= next_position;
  end
  gather #(.ELEMENTS(COLUMNS), .TILE_ROWS(TILE_ROWS), .WINDOW(WINDOW), .IS_FLOAT(IS_FLOAT), .BITS(BITS)) u_gather (
      .clk(clk), .rst(rst), .start(gather_start), .rows(gather_rows), .columns(gather_columns), .start_position(tile_position),
      .next_position(next_position), .threshold(threshold), .shift(shift), .mean_cycles(mean_cycles),
      .frame_stride(frame_stride), .row_stride(row_stride), .grid_rows(grid_rows), .grid_columns(grid_columns), .row(gather_row),
      .column(gather_column), .values(outputs_held[place(gather_group[0], gather_column, gather_row)]), .offset(gather_offset),
      .map_valid(map_valid), .map_index(map_index), .mean_valid(mean_valid), .mean(mean), .finished(gather_finished),
      .last_position(last_position));
  assign event_gathered = gather_finished;
  assign groups_gathered = has_gather ? gather_group : groups_scattered;

  // The groups of a GEMM are over when the last is written.
  assign is_over = collect_over && (is_direct || scatter_over) && (!has_gather || gather_over)
                   && (write_numerator == 0 || write_over);
endmodule
