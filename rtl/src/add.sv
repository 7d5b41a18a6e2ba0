// One addition of 32-bit numbers: FP32 rounded to nearest even, or two's complement, which wraps.
module add #(
    parameter bit IS_FLOAT = 1
) (
    input  logic [31:0] a,
    input  logic [31:0] b,
    output logic [31:0] sum
);
  generate
    if (IS_FLOAT) begin : g_float
      fp32_add u_add (.a(a), .b(b), .sum(sum));
    end else begin : g_integer
      assign sum = a + b;
    end
  endgenerate
endmodule
