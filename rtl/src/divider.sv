// Unsigned quotient, one row of a compare and a subtraction for each of its bits; all of it in one cycle.
module divider #(
    parameter int WIDTH = 38,
    parameter int COUNT = 11            // bits of the divisor
) (
    input  logic [WIDTH-1:0] dividend,
    input  logic [COUNT-1:0] divisor,   // not 0
    output logic [WIDTH-1:0] quotient,
    output logic             has_rest
);
  logic [COUNT:0] rest;
  int place;
  always_comb begin
    rest = '0;
    quotient = '0;
    for (place = WIDTH - 1; place >= 0; place = place - 1) begin
      rest = {rest[COUNT-1:0], dividend[place]};
      if (rest >= {1'b0, divisor}) begin
        rest = rest - {1'b0, divisor};
        quotient[place] = 1'b1;
      end
    end
    has_rest = rest != 0;
  end
endmodule
