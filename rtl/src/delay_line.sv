// A word, CYCLES cycles later; CYCLES 0 is a wire.
module delay_line #(
    parameter int BITS = 16,
    parameter int CYCLES = 1
) (
    input  logic            clk,
    input  logic [BITS-1:0] word_in,
    output logic [BITS-1:0] word
);
  generate
    if (CYCLES == 0) begin : g_wire
      assign word = word_in;
    end else if (CYCLES == 1) begin : g_register
      always_ff @(posedge clk) word <= word_in;
    end else begin : g_shift
      logic [CYCLES*BITS-1:0] line;
      always_ff @(posedge clk) line <= {line[(CYCLES-1)*BITS-1:0], word_in};
      assign word = line[(CYCLES-1)*BITS +: BITS];
    end
  endgenerate
endmodule
