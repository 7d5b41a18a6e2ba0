// Toggles the clock of a bench until it is done. BENCH is the class that Verilator made, HEADER its header.
#include HEADER
#include "verilated.h"

int main(int argc, char **argv) {
    VerilatedContext context;
    context.randReset(2); // registers and memories start at random bits, not at 0, as silicon does
    context.randSeed(20261130);
    context.commandArgs(argc, argv);
    BENCH bench(&context);
    do {
        bench.clk = 0;
        bench.eval();
        bench.clk = 1;
        bench.eval();
    } while (!bench.done);
    return 0;
}
