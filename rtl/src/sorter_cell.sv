// One cell of the bubble sorter: keeps the larger of what it holds and what comes in, and passes the other on a cycle later.
module sorter_cell #(
    parameter int KEY = 30
) (
    input  logic           clk,
    input  logic           clear,
    input  logic           valid_in,
    input  logic [KEY-1:0] key_in,
    output logic           valid,
    output logic [KEY-1:0] key,
    output logic           holds,
    output logic [KEY-1:0] held
);
  always_ff @(posedge clk) begin
    if (clear) begin
      holds <= 0;
      valid <= 0;
    end else begin
      if (valid_in && (!holds || key_in > held)) begin
        held  <= key_in;
        holds <= 1;
        key   <= held;
        valid <= holds;
      end else begin
        key   <= key_in;
        valid <= valid_in;
      end
    end
  end
endmodule
