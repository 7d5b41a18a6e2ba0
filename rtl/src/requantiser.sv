// An accumulated number as an element of the next input. FP: FP32 -> FP16, nearest even. INT8: arithmetic shift (towards minus
// infinity), then saturation to -127 .. 127.
module requantiser #(
    parameter bit IS_FLOAT = 1,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic [31:0]        value,
    input  logic [4:0]         shift,     // INT8 alone
    output logic [ELEMENT-1:0] element
);
  generate
    if (IS_FLOAT) begin : g_float
      fp32_to_fp16 u_round (.value(value), .half(element));
    end else begin : g_integer
      logic signed [31:0] lowered;
      assign lowered = $signed(value) >>> shift;
      assign element = (lowered > 32'sd127) ? 8'sd127 : (lowered < -32'sd127) ? -8'sd127 : lowered[7:0];
    end
  endgenerate
endmodule
