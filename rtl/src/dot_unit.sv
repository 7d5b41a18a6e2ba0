// Inner product of two vectors. Products are exact; a balanced tree of neighbours adds them: ((x0y0 + x1y1) + (x2y2 + x3y3)) + ...
// FP16 vectors give FP32, each addition rounded to nearest even. INT8 vectors give an exact 32-bit integer. ELEMENTS is a power of two.
module dot_unit #(
    parameter int ELEMENTS = 32,
    parameter bit IS_FLOAT = 1,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic [ELEMENTS*ELEMENT-1:0] x,
    input  logic [ELEMENTS*ELEMENT-1:0] y,
    output logic [31:0]                 dot
);
  // A heap: node 1 is the root, node i adds nodes 2i and 2i + 1, leaves lie from ELEMENTS on.
  logic [31:0] node [2*ELEMENTS];
  genvar i;
  generate
    for (i = 0; i < ELEMENTS; i = i + 1) begin : g_leaf
      if (IS_FLOAT) begin : g_float
        fp16_multiply u_multiply (.a(x[i*16 +: 16]), .b(y[i*16 +: 16]), .product(node[ELEMENTS+i]));
      end else begin : g_integer
        logic signed [15:0] product;
        assign product = $signed(x[i*8 +: 8]) * $signed(y[i*8 +: 8]);
        assign node[ELEMENTS+i] = {{16{product[15]}}, product};
      end
    end
    for (i = 1; i < ELEMENTS; i = i + 1) begin : g_add
      add #(.IS_FLOAT(IS_FLOAT)) u_add (.a(node[2*i]), .b(node[2*i+1]), .sum(node[i]));
    end
  endgenerate
  assign node[0] = 32'b0;
  assign dot = node[1];
endmodule
