// Runs the cases of a folder through focal_core, one after the other, and writes down what happened when. Not synthesisable.
// Files (hex, one word a line): cases (32 numbers a case), rows, unique, base, map, offsets, vectors, weights; places are counted over all cases.
module bench_core #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 8,
    parameter bit IS_FLOAT = 1,
    parameter bit IS_WAVEFRONT = 0,
    parameter int TILE_ROWS = 256,
    parameter int BUFFER_COLUMNS = 4,
    parameter int WINDOW = 64,
    parameter int NUMBERS = 65536,      // places of the counts
    parameter int ENTRIES = 1048576     // places of map, vectors and weights
) (
    input  logic clk,
    output logic done
);
  localparam int ELEMENT = IS_FLOAT ? 16 : 8;
  localparam int LANES = 4;
  localparam int BITS = 16;
  localparam int FIELDS = 32;
  logic [31:0] cases [FIELDS*4096];
  logic [31:0] row_counts [NUMBERS], written_rows [NUMBERS], unique_counts [NUMBERS], bases [NUMBERS];
  logic [15:0] maps [ENTRIES], offsets [ENTRIES];
  logic [ROWS*ELEMENT-1:0] vectors [ENTRIES];
  logic [COLUMNS*ELEMENT-1:0] weight_rows [ENTRIES];
  string folder;
  int number_of_cases, number, cycle, events, outputs, index_file, mean_file, dumped, first;
  logic rst, is_running;

  function automatic int field(input int place);
    return int'(cases[number*FIELDS + place]);
  endfunction
  // ---- the case
  wire [15:0] tiles = 16'(field(0)), slices = 16'(field(1)), columns = 16'(field(2)), columns_per_buffer = 16'(field(3));
  wire [15:0] width = 16'(field(4)), lanes = 16'(field(5)), read_ports = 16'(field(6));
  wire has_gather = 1'(field(8)), is_single_ported = 1'(field(7));
  wire [15:0] mean_cycles = 16'(field(9)), weight_row_cycles = 16'(field(10));
  wire [31:0] threshold = field(11);
  wire [4:0] shift = 5'(field(12));
  wire [15:0] frame_stride = 16'(field(13)), row_stride = 16'(field(14)), grid_rows = 16'(field(15)), grid_columns = 16'(field(16));
  wire [15:0] read_numerator = 16'(field(17)), write_numerator = 16'(field(18)), denominator = 16'(field(19));
  wire [5:0] latency = 6'(field(20));
  wire [15:0] map_read_bytes = 16'(field(21)), map_write_bytes = 16'(field(22));
  wire [31:0] at_tiles = field(23), at_steps = field(24), at_map = field(25), at_offsets = field(26), at_weights = field(27);

  // ---- the core and its descriptors
  logic [15:0] fetch_tile, fetch_slice, write_tile, load_slice, load_column, stream_tile, stream_slice, stream_row, collect_tile,
      collect_slice, scatter_tile, scatter_slice, scatter_row, gather_tile, gather_row;
  logic [$clog2(ROWS)-1:0] load_row;
  logic [LANES*BITS-1:0] scatter_map;
  logic map_valid, mean_valid, is_over;
  logic [$clog2(TILE_ROWS)-1:0] map_index;
  logic [COLUMNS*ELEMENT-1:0] mean;
  logic [31:0] groups_scattered, fetch_step, load_fold, stream_fold, collect_fold, scatter_fold, gather_group, write_group, steps_fetched;
  logic event_fetch_starts, event_fetch_arrives, event_load_starts, event_load_ends, event_stream_starts, event_stream_ends,
      event_drained, event_scattered, event_gathered, event_write_starts, event_written;
  function automatic int step_of(input logic [15:0] tile, input logic [15:0] slice);
    return int'(at_steps) + int'(tile) * int'(slices) + int'(slice);
  endfunction
  always_comb
    for (int i = 0; i < LANES; i = i + 1)
      scatter_map[i*BITS +: BITS] = maps[int'(at_map) + (int'(scatter_tile) * int'(slices) + int'(scatter_slice)) * TILE_ROWS
                                         + int'(scatter_row) + i];
  focal_core #(
      .ROWS(ROWS), .COLUMNS(COLUMNS), .IS_FLOAT(IS_FLOAT), .IS_WAVEFRONT(IS_WAVEFRONT), .TILE_ROWS(TILE_ROWS),
      .BUFFER_COLUMNS(BUFFER_COLUMNS), .LANES(LANES), .WINDOW(WINDOW), .BITS(BITS)) core (
      .clk(clk), .rst(rst), .tiles(tiles), .slices(slices), .columns(columns), .columns_per_buffer(columns_per_buffer),
      .outputs(width), .lanes(lanes), .read_ports(read_ports), .is_single_ported(is_single_ported), .has_gather(has_gather),
      .mean_cycles(mean_cycles), .weight_row_cycles(weight_row_cycles), .threshold(threshold), .shift(shift),
      .frame_stride(frame_stride), .row_stride(row_stride), .grid_rows(grid_rows), .grid_columns(grid_columns),
      .read_numerator(read_numerator), .write_numerator(write_numerator), .denominator(denominator), .latency(latency),
      .map_read_bytes(map_read_bytes), .map_write_bytes(map_write_bytes), .fetch_tile(fetch_tile), .fetch_slice(fetch_slice),
      .fetch_unique(16'(unique_counts[step_of(fetch_tile, fetch_slice)])), .fetch_rows(16'(row_counts[at_tiles + 32'(fetch_tile)])),
      .write_tile(write_tile), .write_rows(16'(row_counts[at_tiles + 32'(write_tile)])),
      .write_output_rows(16'(written_rows[at_tiles + 32'(write_tile)])), .load_slice(load_slice), .load_column(load_column),
      .load_row(load_row), .weights(weight_rows[at_weights + (32'(load_slice) * 32'(columns) + 32'(load_column)) * ROWS + 32'(load_row)]),
      .stream_tile(stream_tile), .stream_slice(stream_slice), .stream_row(stream_row),
      .stream_unique(16'(unique_counts[step_of(stream_tile, stream_slice)])),
      .stream_vector(vectors[bases[step_of(stream_tile, stream_slice)] + 32'(stream_row)]), .collect_tile(collect_tile),
      .collect_slice(collect_slice), .collect_unique(16'(unique_counts[step_of(collect_tile, collect_slice)])),
      .scatter_tile(scatter_tile), .scatter_slice(scatter_slice), .scatter_row(scatter_row),
      .scatter_rows(16'(row_counts[at_tiles + 32'(scatter_tile)])), .scatter_map(scatter_map), .gather_tile(gather_tile),
      .gather_row(gather_row), .gather_rows(16'(row_counts[at_tiles + 32'(gather_tile)])),
      .gather_offset(offsets[at_offsets + 32'(gather_tile) * TILE_ROWS + 32'(gather_row)]), .map_valid(map_valid),
      .map_index(map_index), .mean_valid(mean_valid), .mean(mean), .groups_scattered(groups_scattered),
      .event_fetch_starts(event_fetch_starts), .event_fetch_arrives(event_fetch_arrives), .event_load_starts(event_load_starts),
      .event_load_ends(event_load_ends), .event_stream_starts(event_stream_starts), .event_stream_ends(event_stream_ends),
      .event_drained(event_drained), .event_scattered(event_scattered), .event_gathered(event_gathered),
      .event_write_starts(event_write_starts), .event_written(event_written), .fetch_step(fetch_step), .load_fold(load_fold),
      .stream_fold(stream_fold), .collect_fold(collect_fold), .scatter_fold(scatter_fold), .gather_group(gather_group),
      .write_group(write_group), .steps_fetched(steps_fetched), .is_over(is_over));

  // ---- files
  initial begin
    if (!$value$plusargs("folder=%s", folder)) folder = ".";
    if (!$value$plusargs("cases=%d", number_of_cases)) number_of_cases = 1;
    $readmemh({folder, "/cases.hex"}, cases);
    $readmemh({folder, "/rows.hex"}, row_counts);
    $readmemh({folder, "/written.hex"}, written_rows);
    $readmemh({folder, "/unique.hex"}, unique_counts);
    $readmemh({folder, "/base.hex"}, bases);
    $readmemh({folder, "/map.hex"}, maps);
    $readmemh({folder, "/offsets.hex"}, offsets);
    $readmemh({folder, "/vectors.hex"}, vectors);
    $readmemh({folder, "/weights.hex"}, weight_rows);
    events = $fopen({folder, "/events.txt"}, "w");
    outputs = $fopen({folder, "/outputs.hex"}, "w");
    index_file = $fopen({folder, "/indices.txt"}, "w");
    mean_file = $fopen({folder, "/means.hex"}, "w");
    number = 0; done = 0; is_running = 0; rst = 1; cycle = 0;
  end

  task automatic tell(input int kind, input int place, input int when_);
    $fwrite(events, "%0d %0d %0d %0d\n", number, kind, place, when_);
  endtask
  // Columns of a group and its rows, by the order of the loops.
  function automatic int columns_of(input int group);
    int in_tile, groups_of_tile;
    groups_of_tile = (int'(columns) + int'(columns_per_buffer) - 1) / int'(columns_per_buffer);
    in_tile = group % groups_of_tile;
    first = in_tile * int'(columns_per_buffer);
    return (int'(columns) - first < int'(columns_per_buffer)) ? int'(columns) - first : int'(columns_per_buffer);
  endfunction
  task automatic dump(input int group);
    int groups_of_tile;
    groups_of_tile = (int'(columns) + int'(columns_per_buffer) - 1) / int'(columns_per_buffer);
    for (int c = 0; c < columns_of(group); c = c + 1)
      for (int r = 0; r < int'(row_counts[int'(at_tiles) + group / groups_of_tile]); r = r + 1)
        $fwrite(outputs, "%h\n", core.outputs_held[((group % 2) * BUFFER_COLUMNS + c) * TILE_ROWS + r]);
  endtask

  always @(posedge clk) begin
    if (!is_running) begin
      // One cycle in reset with the numbers of the next case.
      if (rst && number < number_of_cases) begin is_running <= 1; rst <= 0; cycle <= 0; dumped <= 0; end
      else if (!done && number >= number_of_cases) begin
        $fclose(events); $fclose(outputs); $fclose(index_file); $fclose(mean_file);
        done <= 1;
      end
      rst <= !(rst && number < number_of_cases);
    end else begin
      cycle <= cycle + 1;
      if (event_fetch_starts) tell(0, int'(fetch_step), cycle);
      if (event_fetch_arrives) tell(1, int'(steps_fetched), cycle + 1);
      if (event_load_starts) tell(2, int'(load_fold), cycle);
      if (event_load_ends) tell(3, int'(load_fold), cycle + 1);
      if (event_stream_starts) tell(4, int'(stream_fold), cycle);
      if (event_stream_ends) tell(5, int'(stream_fold), cycle + 1);
      if (event_drained) tell(6, int'(collect_fold), cycle + 1);
      if (event_scattered) tell(7, int'(scatter_fold), cycle + 1);
      if (event_gathered) tell(8, int'(gather_group), cycle + 1);
      if (event_write_starts) tell(9, int'(write_group), cycle);
      if (event_written) tell(10, int'(write_group), cycle + 1);
      if (map_valid) $fwrite(index_file, "%0d\n", map_index);
      if (mean_valid) $fwrite(mean_file, "%h\n", mean);
      if (int'(groups_scattered) > dumped) begin dump(dumped); dumped <= dumped + 1; end
      if (is_over && int'(groups_scattered) == dumped) begin
        tell(11, 0, cycle);
        is_running <= 0; rst <= 1; number <= number + 1;
      end else if (cycle > 4000000) begin
        tell(12, 0, cycle);
        is_running <= 0; rst <= 1; number <= number + 1;
      end
    end
  end
endmodule
