package io.vblora.hostile;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * One hostile run.
 *
 * @param name unique, and the same in every run
 * @param damage what is done to the folder before
 * @param command arguments of the command line, run in the folder
 * @param expect what must come of it
 */
record Case(String name, Damage damage, List<String> command, Expect expect) {
    /** Changes the folder of a case; what is drawn comes from the case's own seed. */
    @FunctionalInterface
    interface Damage {
        Damage NONE = (folder, random) -> {};

        void to(Path folder, SplittableRandom random) throws IOException;
    }

    /** Which exit codes a case may have. */
    enum Expect {
        /** The input cannot be used: exit code 1 or 2, and a message. */
        REFUSED,
        /** Either is right, as long as it is done properly. */
        ANY;

        boolean allows(int exitCode) {
            return exitCode == 1 || exitCode == 2 || this == ANY && exitCode == 0;
        }
    }
}
