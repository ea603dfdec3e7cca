package io.vblora.regex;

import java.util.List;

/** A parsed regular expression, without what does not affect the number of steps: names, and the order of choices. */
sealed interface Regex {
    /** One character. */
    record One(CharacterSet set) implements Regex {}

    /** One part after the other. */
    record Sequence(List<Regex> parts) implements Regex {}

    /** One of several ways. */
    record Choice(List<Regex> ways) implements Regex {}

    /** From {@code min} to {@code max} times; {@link #UNBOUNDED} stands for any number. */
    record Repeat(Regex body, int min, int max) implements Regex {
        static final int UNBOUNDED = Integer.MAX_VALUE;
    }

    /** Matches no characters itself: an anchor, whose body is null, or an expression that looks ahead or behind. */
    record Assertion(Regex body, boolean behind) implements Regex {}

    /** Whether it may match the empty text. */
    default boolean isNullable() {
        if (this instanceof Sequence sequence) {
            return sequence.parts().stream().allMatch(Regex::isNullable);
        }
        if (this instanceof Choice choice) {
            return choice.ways().stream().anyMatch(Regex::isNullable);
        }
        if (this instanceof Repeat repeat) {
            return repeat.min() == 0 || repeat.body().isNullable();
        }
        return this instanceof Assertion;
    }

    /** Whether what it matches may be of any length. */
    default boolean isUnbounded() {
        if (this instanceof Sequence sequence) {
            return sequence.parts().stream().anyMatch(Regex::isUnbounded);
        }
        if (this instanceof Choice choice) {
            return choice.ways().stream().anyMatch(Regex::isUnbounded);
        }
        if (this instanceof Repeat repeat) {
            return repeat.max() == Repeat.UNBOUNDED || repeat.body().isUnbounded();
        }
        return this instanceof Assertion assertion && assertion.body() != null && assertion.body().isUnbounded();
    }
}
