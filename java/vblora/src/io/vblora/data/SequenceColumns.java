package io.vblora.data;

import io.vblora.InputException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * The columns of a file of texts.
 *
 * @param text the text, or the first of a pair
 * @param textPair the second of a pair; null if there are no pairs
 * @param label the class or value; null if the data has none
 */
public record SequenceColumns(String text, String textPair, String label) {
    public SequenceColumns {
        List<String> names = Stream.of(text, textPair, label).filter(Objects::nonNull).toList();
        if (text == null || names.stream().distinct().count() < names.size()) {
            throw new InputException("columns", "", String.join(", ", names), "one for the text and others for the "
                    + "second text of a pair and the label");
        }
    }

    /** Those columns that there are, in the order text, textPair, label. */
    List<String> names() {
        return new ArrayList<>(Stream.of(text, textPair, label).filter(Objects::nonNull).toList());
    }
}
