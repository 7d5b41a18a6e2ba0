// FP32 -> FP16, rounded to nearest, ties to even.
module fp32_to_fp16 (
    input  logic [31:0] value,
    output logic [15:0] half
);
  assign half = float_arithmetic::narrow(value);
endmodule
