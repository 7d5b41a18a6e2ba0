// FP32 x FP32, rounded to nearest, ties to even: as numpy.float32 multiplies.
module fp32_multiply (
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] product
);
  assign product = float_arithmetic::multiply32(a, b);
endmodule
