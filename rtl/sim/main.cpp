// Toggles the clock of a bench until it is done. BENCH is the class that Verilator made, HEADER its header.
#include HEADER
#include "verilated.h"

int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    BENCH bench(&context);
    while (!bench.done) {
        bench.clk = 0;
        bench.eval();
        bench.clk = 1;
        bench.eval();
    }
    return 0;
}
