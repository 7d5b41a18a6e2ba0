// One cell of the weight-stationary array: holds a weight, passes its activation on to the right and its partial sum down.
module processing_element #(
    parameter bit IS_FLOAT = 1,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic               clk,
    input  logic               load,          // take `weight_in`
    input  logic [ELEMENT-1:0] weight_in,
    output logic [ELEMENT-1:0] weight,
    input  logic [ELEMENT-1:0] activation_in,
    output logic [ELEMENT-1:0] activation,
    input  logic [31:0]        partial_in,
    output logic [31:0]        partial
);
  logic [31:0] result;
  multiply_add #(.IS_FLOAT(IS_FLOAT)) u_multiply_add (.a(activation_in), .b(weight), .addend(partial_in), .result(result));
  always_ff @(posedge clk) begin
    activation <= activation_in;
    partial    <= result;
    if (load) weight <= weight_in;
  end
endmodule
