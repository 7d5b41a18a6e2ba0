// Sums of the members of every group of a tile and column, and their means.
// A row is added in the cycle in which its compact index is known (a read and a write of one entry); sums are FP32 (INT8: 32-bit), in
// order of rows. The means are read out one group a cycle.
module group_mean #(
    parameter int ELEMENTS = 32,
    parameter int GROUPS = 1024,
    parameter bit IS_FLOAT = 1,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8,
    localparam int INDEX = $clog2(GROUPS)
) (
    input  logic                        clk,
    input  logic                        add_row,
    input  logic                        is_first,    // of its group
    input  logic [INDEX-1:0]            group_index,
    input  logic [ELEMENTS*ELEMENT-1:0] vector,
    input  logic [INDEX-1:0]            read_index,
    output logic [ELEMENTS*ELEMENT-1:0] means
);
  logic [ELEMENTS*32-1:0] sums [GROUPS];
  logic [INDEX:0]         members [GROUPS];
  logic [ELEMENTS*32-1:0] old, fresh, summed, shown;
  assign old = sums[group_index];
  assign shown = sums[read_index];

  genvar i;
  generate
    for (i = 0; i < ELEMENTS; i = i + 1) begin : g_element
      if (IS_FLOAT) begin : g_float
        // FP16 x 1 is the same number in FP32.
        fp16_multiply u_widen (.a(vector[i*16 +: 16]), .b(16'h3c00), .product(fresh[i*32 +: 32]));
      end else begin : g_integer
        assign fresh[i*32 +: 32] = {{24{vector[i*8+7]}}, vector[i*8 +: 8]};
      end
      add #(.IS_FLOAT(IS_FLOAT)) u_add (.a(old[i*32 +: 32]), .b(fresh[i*32 +: 32]), .sum(summed[i*32 +: 32]));
      mean_lane #(.IS_FLOAT(IS_FLOAT), .COUNT(INDEX + 1)) u_mean (
          .sum(shown[i*32 +: 32]), .members(members[read_index]), .mean(means[i*ELEMENT +: ELEMENT]));
    end
  endgenerate

  always_ff @(posedge clk) begin
    if (add_row) begin
      sums[group_index]    <= is_first ? fresh : summed;
      members[group_index] <= is_first ? {{INDEX{1'b0}}, 1'b1} : members[group_index] + 1'b1;
    end
  end
endmodule
