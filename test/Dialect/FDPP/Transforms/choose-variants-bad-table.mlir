// What is wrong with a table is said in one line.
//
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-none.json" 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: {{.*}}-none.json: cannot read the tuning table (No such file or directory)
// RUN: echo '{"magic": "fdpp-tun' > %t-cut.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-cut.json" 2>&1 | FileCheck %s --check-prefix=CUT
// CUT: error: {{.*}}-cut.json: no tuning table: not json ({{.*}}); give a file that fdpp-tune wrote
// RUN: echo '{"magic": "fdpp-engine"}' > %t-other.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-other.json" 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: error: {{.*}}-other.json: no tuning table: 'magic' is not "fdpp-tuning"; give a file that fdpp-tune wrote
// RUN: sed 's/"format": 1/"format": 0/' %S/Inputs/tuning.json > %t-old.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-old.json" 2>&1 | FileCheck %s --check-prefix=OLD
// OLD: error: {{.*}}-old.json: tuning table of format 0, this version reads 1 to 2; run fdpp-tune again
// RUN: sed 's/"format": 1/"format": 3/' %S/Inputs/tuning.json > %t-new.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-new.json" 2>&1 | FileCheck %s --check-prefix=NEW
// NEW: error: {{.*}}-new.json: a tuning table of a newer fdpp; update fdpp or run fdpp-tune of this version
// RUN: sed 's/"large"/"vendor"/' %S/Inputs/tuning.json > %t-kind.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-kind.json" 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error: {{.*}}-kind.json: damaged tuning table: 'shapes[0].ranges[2].kind' must be gemv, flat, large or library; run fdpp-tune again
// RUN: sed 's/"tokens": 5/"tokens": 7/' %S/Inputs/tuning.json > %t-tile.json
// RUN: not fdpp-opt %s --fdpp-choose-variants="tuning=%t-tile.json" 2>&1 | FileCheck %s --check-prefix=TILE
// TILE: error: {{.*}}-tile.json: damaged tuning table: 'shapes[0].ranges[1].tokens' must be an integer from 1 to 6; run fdpp-tune again
