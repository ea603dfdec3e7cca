package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.data.TableFormat;
import java.nio.file.Path;
import java.util.Locale;

/** Values of {@code --data-format}. */
enum DataFormat {
    AUTO, JSON, CSV, TSV;

    /** @throws io.vblora.InputException if the format depends on the file's name, and that does not tell it */
    TableFormat of(Path file) {
        return switch (this) {
            case AUTO -> byName(file);
            case JSON -> TableFormat.JSON;
            case CSV -> TableFormat.CSV;
            case TSV -> TableFormat.TSV;
        };
    }

    private static TableFormat byName(Path file) {
        try {
            return TableFormat.of(file);
        } catch (InputException e) {
            throw new InputException(e.source(), "", e.found(), e.expected() + ", or --data-format csv, tsv or json",
                    e);
        }
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
