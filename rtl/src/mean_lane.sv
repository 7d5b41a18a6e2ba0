// One element of a group's mean: sum / members.
// FP: the FP32 quotient rounded to nearest even, then rounded to FP16, as the kernel does. INT8: rounded to nearest, halves up.
module mean_lane #(
    parameter bit IS_FLOAT = 1,
    parameter int COUNT = 11,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic [31:0]        sum,
    input  logic [COUNT-1:0]   members,
    output logic [ELEMENT-1:0] mean
);
  generate
    if (IS_FLOAT) begin : g_float
      // 24 bits of significand, lifted so that the quotient has more than 24 even for the largest count; sums of FP16 are normal.
      localparam int LIFT = COUNT + 3;
      logic [47:0] dividend, quotient, normal;
      logic [5:0]  zeros;
      logic        sticky, up;
      logic [31:0] rounded;
      logic [15:0] half;
      assign dividend = 48'({|sum[30:23], sum[22:0]}) << LIFT;
      assign quotient = dividend / 48'(members);
      assign sticky   = dividend != quotient * 48'(members);
      assign zeros  = float_arithmetic::leading_zeros(quotient);
      assign normal = quotient << zeros;
      assign up = normal[23] & ((|normal[22:0]) | sticky | normal[24]);
      // The leading one of the quotient has place 47 - zeros; that of the significand had 23 + LIFT.
      assign rounded = {sum[31], sum[30:23] + 8'(24 - LIFT) - 8'(zeros), normal[46:24]} + {31'b0, up};
      fp32_to_fp16 u_round (.value((sum[30:23] == 0 || &sum[30:23]) ? sum : rounded), .half(half));
      assign mean = half;
    end else begin : g_integer
      logic signed [33:0] twice, floor;
      logic signed [33:0] divisor;
      assign twice   = $signed({{1{sum[31]}}, sum, 1'b0}) + $signed({{(34-COUNT){1'b0}}, members});
      assign divisor = $signed({{(33-COUNT){1'b0}}, members, 1'b0});
      // Division truncates; the floor is one less where the dividend is negative and does not divide.
      assign floor   = twice / divisor - ((twice < 0 && twice % divisor != 0) ? 34'sd1 : 34'sd0);
      assign mean    = floor[7:0];
    end
  endgenerate
endmodule
