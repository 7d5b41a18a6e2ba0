// Runs the cases of a folder through the semantic concentrator. Not synthesisable.
// cases.hex: tokens, kept, rows of attention, first row of the file, of each case. attention.hex: LANES values a line.
module bench_semantic #(
    parameter int LANES = 8,
    parameter int TOKENS = 1024,
    parameter int ENTRIES = 1048576
) (
    input  logic clk,
    output logic done
);
  localparam int INDEX = $clog2(TOKENS);
  localparam int ADDRESS = $clog2((TOKENS + LANES - 1) / LANES);
  logic [31:0] cases [4*4096];
  logic [LANES*16-1:0] attention [ENTRIES];
  string folder;
  int number_of_cases, number, cycle, events, file, row, word, began;
  logic rst, is_running, is_started, is_streaming;
  wire [31:0] tokens = cases[number*4], kept = cases[number*4+1], rows = cases[number*4+2], first = cases[number*4+3];
  wire [31:0] words = (tokens + LANES - 1) / LANES;
  logic sorted, offset_valid, encoded;
  logic [INDEX-1:0] offset;
  semantic_concentrator #(.LANES(LANES), .TOKENS(TOKENS)) unit_under_test (
      .clk(clk), .rst(rst), .valid(is_streaming), .is_first(row == 0), .address(ADDRESS'(word)),
      .attention(attention[first + row * words + word]), .start(is_started), .tokens((INDEX+1)'(tokens)), .kept((INDEX+1)'(kept)),
      .sorted(sorted), .offset_valid(offset_valid), .offset(offset), .encoded(encoded));
  initial begin
    if (!$value$plusargs("folder=%s", folder)) folder = ".";
    if (!$value$plusargs("cases=%d", number_of_cases)) number_of_cases = 1;
    $readmemh({folder, "/cases.hex"}, cases);
    $readmemh({folder, "/attention.hex"}, attention);
    events = $fopen({folder, "/events.txt"}, "w");
    file = $fopen({folder, "/offsets.txt"}, "w");
    number = 0; done = 0; is_running = 0; rst = 1; cycle = 0; row = 0; word = 0; is_started = 0; is_streaming = 0;
  end
  always @(posedge clk) begin
    if (!is_running) begin
      if (number >= number_of_cases) begin
        if (!done) begin $fclose(events); $fclose(file); end
        done <= 1;
      end else if (!rst) rst <= 1;
      else begin
        rst <= 0; is_running <= 1; is_streaming <= 1; row <= 0; word <= 0; cycle <= 0;
      end
    end else begin
      cycle <= cycle + 1;
      if (is_streaming) begin
        if (word + 1 == words) begin
          word <= 0; row <= row + 1;
          if (row + 1 == rows) begin is_streaming <= 0; is_started <= 1; $fwrite(events, "%0d 0 %0d\n", number, cycle + 1); end
        end else word <= word + 1;
      end
      if (is_started) begin is_started <= 0; began <= cycle + 1; end
      if (sorted) $fwrite(events, "%0d 1 %0d\n", number, cycle + 1 - began);
      if (offset_valid) $fwrite(file, "%0d %0d\n", number, offset);
      if (encoded) begin
        $fwrite(events, "%0d 2 %0d\n", number, cycle + 1 - began);
        is_running <= 0; number <= number + 1;
      end
    end
  end
endmodule
