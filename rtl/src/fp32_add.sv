// FP32 + FP32, rounded to nearest, ties to even: as numpy.float32 adds.
module fp32_add (
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] sum
);
  assign sum = float_arithmetic::add32(a, b);
endmodule
