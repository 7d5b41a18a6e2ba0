// One scatter lane: a restored row of partial sums is added to the row of the output half, or replaces it in the first k-slice.
module accumulator #(
    parameter int ELEMENTS = 32,
    parameter bit IS_FLOAT = 1
) (
    input  logic                   is_first,
    input  logic [ELEMENTS*32-1:0] value,
    input  logic [ELEMENTS*32-1:0] old,
    output logic [ELEMENTS*32-1:0] sum
);
  genvar i;
  generate
    for (i = 0; i < ELEMENTS; i = i + 1) begin : g_element
      logic [31:0] added;
      add #(.IS_FLOAT(IS_FLOAT)) u_add (.a(old[i*32 +: 32]), .b(value[i*32 +: 32]), .sum(added));
      assign sum[i*32 +: 32] = is_first ? value[i*32 +: 32] : added;
    end
  endgenerate
endmodule
