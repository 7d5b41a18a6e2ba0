// FP16 x FP16 -> FP32, exact.
module fp16_multiply (
    input  logic [15:0] a,
    input  logic [15:0] b,
    output logic [31:0] product
);
  assign product = float_arithmetic::multiply16(a, b);
endmodule
