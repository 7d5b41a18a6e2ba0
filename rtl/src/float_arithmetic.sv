// Floating point as functions: IEEE 754, round to nearest, ties to even, subnormals in full, one NaN (quiet, positive, no payload).
// Functions, so that a simulator keeps one copy of each; modules of the same name wrap them for synthesis.
package float_arithmetic;
  localparam logic [31:0] NAN32 = 32'h7fc00000;

  // Leading zeros of a 48-bit word; 48 if it is zero. A binary search: six steps, each halves what is left.
  function automatic [5:0] leading_zeros(input [47:0] word);
    logic [63:0] rest;
    logic [5:0] count;
    rest  = {word, 16'hffff};  // the ones stop the search at 48
    count = 0;
    if (rest[63:32] == 0) begin count = count + 6'd32; rest = rest << 32; end
    if (rest[63:48] == 0) begin count = count + 6'd16; rest = rest << 16; end
    if (rest[63:56] == 0) begin count = count + 6'd8; rest = rest << 8; end
    if (rest[63:60] == 0) begin count = count + 6'd4; rest = rest << 4; end
    if (rest[63:62] == 0) begin count = count + 6'd2; rest = rest << 2; end
    if (rest[63] == 0) count = count + 6'd1;
    leading_zeros = count;
  endfunction

  // FP16 x FP16 -> FP32. Exact, so nothing is rounded: 11 x 11 bits fit in 24, and the smallest product, 2^-48, is normal in FP32.
  function automatic [31:0] multiply16(input [15:0] a, input [15:0] b);
    /* verilator no_inline_task */
    logic sign, is_special;
    logic [21:0] significand;
    logic [47:0] normal;
    logic [5:0] zeros;
    logic [8:0] exponent;
    sign = a[15] ^ b[15];
    significand = {11'b0, |a[14:10], a[9:0]} * {11'b0, |b[14:10], b[9:0]};
    zeros  = leading_zeros({significand, 26'b0});
    normal = {significand, 26'b0} << zeros;
    // A significand counts units of 2^(e - 25), where e of a subnormal is 1. 21 - zeros is the place of the leading one.
    exponent = 9'd98 + {4'b0, (a[14:10] == 0) ? 5'd1 : a[14:10]} + {4'b0, (b[14:10] == 0) ? 5'd1 : b[14:10]} - {3'b0, zeros};
    is_special = &a[14:10] || &b[14:10];
    if ((&a[14:10] && (a[9:0] != 0 || b[14:0] == 0)) || (&b[14:10] && (b[9:0] != 0 || a[14:0] == 0))) multiply16 = NAN32;
    else if (is_special) multiply16 = {sign, 8'hff, 23'b0};
    else if (significand == 0) multiply16 = {sign, 31'b0};
    else multiply16 = {sign, exponent[7:0], normal[46:24]};
  endfunction

  // FP32 + FP32.
  function automatic [31:0] add32(input [31:0] a, input [31:0] b);
    /* verilator no_inline_task */
    logic [31:0] larger, smaller, rounded;
    logic [7:0] exponent_larger, exponent_smaller, distance;
    logic [26:0] wide_larger, wide_smaller, shifted, lost;
    logic sticky, is_subtraction, up;
    logic [27:0] total, normal;
    logic [5:0] zeros, shift;
    logic [8:0] exponent;
    larger  = (a[30:0] >= b[30:0]) ? a : b;
    smaller = (a[30:0] >= b[30:0]) ? b : a;
    exponent_larger  = (larger[30:23] == 0) ? 8'd1 : larger[30:23];
    exponent_smaller = (smaller[30:23] == 0) ? 8'd1 : smaller[30:23];
    distance = exponent_larger - exponent_smaller;
    is_subtraction = a[31] ^ b[31];
    // Three more bits: guard, round and sticky. What is shifted out leaves a one in the last.
    wide_larger  = {|larger[30:23], larger[22:0], 3'b0};
    wide_smaller = {|smaller[30:23], smaller[22:0], 3'b0};
    if (distance > 8'd26) {shifted, lost} = {27'b0, wide_smaller};
    else {shifted, lost} = {wide_smaller, 27'b0} >> distance[4:0];
    sticky = lost != 0;
    shifted[0] = shifted[0] | sticky;
    total = is_subtraction ? {1'b0, wide_larger} - {1'b0, shifted} : {1'b0, wide_larger} + {1'b0, shifted};
    zeros = leading_zeros({total[26:0], 21'b0});
    if (total[27]) begin
      normal   = {1'b0, total[27:2], total[1] | total[0]};
      exponent = {1'b0, exponent_larger} + 9'd1;
    end else begin
      // Below the smallest exponent there is no shift left to give: the result is subnormal.
      shift    = ({2'b0, zeros} >= exponent_larger) ? 6'(exponent_larger - 8'd1) : zeros;
      normal   = total << shift;
      exponent = normal[26] ? {1'b0, exponent_larger} - {3'b0, shift} : 9'd0;
    end
    up = normal[2] & (normal[1] | normal[0] | normal[3]);
    // A carry out of the fraction raises the exponent, up to infinity: the fields lie side by side.
    rounded = {1'b0, exponent[7:0], normal[25:3]} + {31'b0, up};
    if (&larger[30:23]) begin
      if (larger[22:0] != 0 || (&smaller[30:23] && is_subtraction)) add32 = NAN32;
      else add32 = larger;
    end else if (total == 0) add32 = {a[31] & b[31], 31'b0};
    else if (exponent >= 9'd255) add32 = {larger[31], 8'hff, 23'b0};
    else add32 = {larger[31], rounded[30:0]};
  endfunction

  // FP32 x FP32.
  function automatic [31:0] multiply32(input [31:0] a, input [31:0] b);
    /* verilator no_inline_task */
    logic sign, sticky, up;
    logic [47:0] significand, normal, lowered;
    logic [5:0] zeros;
    logic signed [10:0] exponent;
    logic [10:0] down;
    logic [7:0] field;
    logic [31:0] rounded;
    sign = a[31] ^ b[31];
    significand = {24'b0, |a[30:23], a[22:0]} * {24'b0, |b[30:23], b[22:0]};
    zeros  = leading_zeros(significand);
    normal = significand << zeros;
    // Bit 47 has the weight of 2^(ea + eb - 254 + 1) before zeros are shifted out.
    exponent = $signed({3'b0, (a[30:23] == 0) ? 8'd1 : a[30:23]}) + $signed({3'b0, (b[30:23] == 0) ? 8'd1 : b[30:23]})
               - 11'sd126 - $signed({5'b0, zeros});
    down = (exponent <= 0) ? 11'(11'sd1 - exponent) : 11'd0;
    if (down > 11'd48) begin
      lowered = 0;
      sticky  = normal != 0;
    end else begin
      lowered = normal >> down[5:0];
      sticky  = (lowered << down[5:0]) != normal;
    end
    field = (exponent <= 0) ? 8'd0 : exponent[7:0];
    up = lowered[23] & ((|lowered[22:0]) | sticky | lowered[24]);
    // A subnormal has no hidden one to drop; a carry out of its fraction makes it normal by itself.
    rounded = {1'b0, field, lowered[46:24]} + {31'b0, up};
    if ((&a[30:23] && (a[22:0] != 0 || b[30:0] == 0)) || (&b[30:23] && (b[22:0] != 0 || a[30:0] == 0))) multiply32 = NAN32;
    else if (&a[30:23] || &b[30:23]) multiply32 = {sign, 8'hff, 23'b0};
    else if (significand == 0) multiply32 = {sign, 31'b0};
    else if (exponent >= 11'sd255 || rounded[30:23] == 8'hff) multiply32 = {sign, 8'hff, 23'b0};
    else multiply32 = {sign, rounded[30:0]};
  endfunction

  // FP32 -> FP16; too large becomes infinity.
  function automatic [15:0] narrow(input [31:0] value);
    /* verilator no_inline_task */
    logic [7:0] down;
    logic [36:0] wide, shifted;
    logic [4:0] field;
    logic up, sticky;
    logic [15:0] rounded;
    // 24 bits of significand, 13 more than FP16 has; values below 2^-14 are lowered to the unit 2^-24.
    wide = {|value[30:23], value[22:0], 13'b0};
    down = (value[30:23] < 8'd113) ? 8'd113 - value[30:23] : 8'd0;
    if (down > 8'd36) begin
      shifted = 0;
      sticky  = wide != 0;
    end else begin
      shifted = wide >> down[5:0];
      sticky  = (shifted << down[5:0]) != wide;
    end
    field = (down != 0) ? 5'd0 : 5'(value[30:23] - 8'd112);
    up = shifted[25] & ((|shifted[24:0]) | sticky | shifted[26]);
    rounded = {1'b0, field, shifted[35:26]} + {15'b0, up};
    if (&value[30:23]) narrow = (value[22:0] != 0) ? 16'h7e00 : {value[31], 15'h7c00};
    else if (value[30:23] >= 8'd143 || rounded[14:10] == 5'd31) narrow = {value[31], 15'h7c00};
    else narrow = {value[31], rounded[14:0]};
  endfunction
endpackage
