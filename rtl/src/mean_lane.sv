// One element of a group's mean: sum / members.
// FP: the FP32 quotient rounded to nearest even, then rounded to FP16, as the kernel does. INT8: rounded to nearest, halves up.
module mean_lane #(
    parameter bit IS_FLOAT = 1,
    parameter int COUNT = 11,
    localparam int ELEMENT = IS_FLOAT ? 16 : 8
) (
    input  logic [31:0]        sum,        // INT8: of as many elements of -128 to 127
    input  logic [COUNT-1:0]   members,
    output logic [ELEMENT-1:0] mean
);
  generate
    if (IS_FLOAT) begin : g_float
      // 24 bits of significand, lifted so that the quotient has more than 24 even for the largest count; sums of FP16 are normal.
      localparam int LIFT = COUNT + 3;
      logic [23+LIFT:0] quotient;
      logic [47:0] normal;
      logic [5:0]  zeros;
      logic        sticky, up;
      logic [31:0] rounded;
      divider #(.WIDTH(24 + LIFT), .COUNT(COUNT)) u_divider (
          .dividend({|sum[30:23], sum[22:0], {LIFT{1'b0}}}), .divisor(members), .quotient(quotient), .has_rest(sticky));
      assign zeros  = float_arithmetic::leading_zeros(48'(quotient));
      assign normal = 48'(quotient) << zeros;
      assign up = normal[23] & ((|normal[22:0]) | sticky | normal[24]);
      // The leading one of the quotient has place 47 - zeros; that of the significand had 23 + LIFT.
      assign rounded = {sum[31], sum[30:23] + 8'(24 - LIFT) - 8'(zeros), normal[46:24]} + {31'b0, up};
      fp32_to_fp16 u_round (.value((sum[30:23] == 0 || &sum[30:23]) ? sum : rounded), .half(mean));
    end else begin : g_integer
      // floor(sum / members + 1/2) + 128 = floor((sum + floor(257 members / 2)) / members), in which nothing is negative.
      logic [COUNT+7:0] lifted, quotient;
      assign lifted = (COUNT+8)'(sum + 32'({members, 7'b0}) + (32'(members) >> 1));
      divider #(.WIDTH(COUNT + 8), .COUNT(COUNT)) u_divider (
          .dividend(lifted), .divisor(members), .quotient(quotient), .has_rest());
      assign mean = {~quotient[7], quotient[6:0]};
    end
  endgenerate
endmodule
