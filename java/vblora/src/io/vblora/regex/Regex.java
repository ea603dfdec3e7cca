package io.vblora.regex;

import java.util.List;

/** A parsed regular expression, without what has no influence on the number of steps: names, and which way is first. */
sealed interface Regex {
    /** One character. */
    record One(CharacterSet set) implements Regex {}

    /** One after the other. */
    record Sequence(List<Regex> parts) implements Regex {}

    /** One of them. */
    record Choice(List<Regex> ways) implements Regex {}

    /** From {@code min} to {@code max} times; {@link #UNBOUNDED} if as often as it goes. */
    record Repeat(Regex body, int min, int max) implements Regex {
        static final int UNBOUNDED = Integer.MAX_VALUE;
    }

    /** Matches no character: an anchor, with the body null, or what looks ahead, or behind. */
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

    /** Whether the length of what it matches has no bound. */
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
