// One multiplication and one addition. FP16 inputs: the product is exact in FP32 and the sum is rounded to nearest even.
// INT8 inputs: 32-bit two's complement, which wraps.
module multiply_add #(
    parameter bit IS_FLOAT = 1,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic [ELEMENT-1:0] a,
    input  logic [ELEMENT-1:0] b,
    input  logic [31:0]        addend,
    output logic [31:0]        result
);
  generate
    if (IS_FLOAT) begin : g_float
      logic [31:0] product;
      fp16_multiply u_multiply (.a(a), .b(b), .product(product));
      fp32_add u_add (.a(addend), .b(product), .sum(result));
    end else begin : g_integer
      logic signed [15:0] product;
      assign product = $signed(a) * $signed(b);
      assign result  = addend + {{16{product[15]}}, product};
    end
  endgenerate
endmodule
