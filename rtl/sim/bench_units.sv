// Puts operands through the arithmetic units, one line a cycle. Not synthesisable.
// operands.hex: {unit, a, b} in 32, 128 and 128 bits. Units: 0 fp16_multiply, 1 fp32_add, 2 fp32_multiply, 3 fp32_to_fp16, 4 mean_lane FP16,
// 5 mean_lane INT8, 6 multiply_add INT8 (a: {addend}, b: {x, y}), 7 requantiser INT8 (b: shift), 8 dot_unit FP16
// of eight elements, 9 dot_unit INT8 of eight.
module bench_units #(
    parameter int ENTRIES = 2097152
) (
    input  logic clk,
    output logic done
);
  logic [287:0] operands [ENTRIES];
  string folder;
  int count, number, file;
  wire [31:0] unit_number = operands[number][287:256];
  wire [127:0] x = operands[number][255:128], y = operands[number][127:0];
  wire [31:0] a = x[31:0], b = y[31:0];
  logic [31:0] product, sum, product32, added, dot, integer_dot, result;
  logic [15:0] half, mean;
  logic [7:0] integer_mean, element;
  fp16_multiply u0 (.a(a[15:0]), .b(b[15:0]), .product(product));
  fp32_add u1 (.a(a), .b(b), .sum(sum));
  fp32_multiply u2 (.a(a), .b(b), .product(product32));
  fp32_to_fp16 u3 (.value(a), .half(half));
  mean_lane #(.IS_FLOAT(1), .COUNT(11)) u4 (.sum(a), .members(b[10:0]), .mean(mean));
  mean_lane #(.IS_FLOAT(0), .COUNT(11)) u5 (.sum(a), .members(b[10:0]), .mean(integer_mean));
  multiply_add #(.IS_FLOAT(0)) u6 (.a(b[15:8]), .b(b[7:0]), .addend(a), .result(added));
  requantiser #(.IS_FLOAT(0)) u7 (.value(a), .shift(b[4:0]), .element(element));
  dot_unit #(.ELEMENTS(8), .IS_FLOAT(1)) u8 (.x(x), .y(y), .dot(dot));
  dot_unit #(.ELEMENTS(8), .IS_FLOAT(0)) u9 (.x(x[63:0]), .y(y[63:0]), .dot(integer_dot));
  always_comb begin
    case (unit_number)
      0: result = product;
      1: result = sum;
      2: result = product32;
      3: result = {16'b0, half};
      4: result = {16'b0, mean};
      5: result = {24'b0, integer_mean};
      6: result = added;
      7: result = {24'b0, element};
      8: result = dot;
      default: result = integer_dot;
    endcase
  end
  initial begin
    if (!$value$plusargs("folder=%s", folder)) folder = ".";
    if (!$value$plusargs("cases=%d", count)) count = 1;
    $readmemh({folder, "/operands.hex"}, operands);
    file = $fopen({folder, "/results.hex"}, "w");
    number = 0;
    done = 0;
  end
  always @(posedge clk) begin
    if (number < count) begin
      $fwrite(file, "%h\n", result);
      number <= number + 1;
    end else if (!done) begin
      $fclose(file);
      done <= 1;
    end
  end
endmodule
