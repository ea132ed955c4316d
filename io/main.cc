// The program `bascule`: broker, command line and offline tools in one binary.
#include "io/cli/app.h"

int main(int argc, char** argv) { return bascule::cli::run(argc, argv); }
