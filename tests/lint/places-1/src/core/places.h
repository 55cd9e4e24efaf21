/* src/core/places.h -- every place. */
#ifndef CORE_PLACES_H
#define CORE_PLACES_H

#define REPORT_PLACES(X)                                                                           \
    X(ROW, "sqlite", "report(id data)", "", "its row", "probe_remove", "not at all", fsck_rows,    \
      "probe.row.gone", "test_probe.py::test_probe")

#endif
