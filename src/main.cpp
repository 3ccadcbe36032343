#include "cli/app.h"

int main(int argc, char** argv) { return tenantctl::cli::run_app(argc, argv); }
