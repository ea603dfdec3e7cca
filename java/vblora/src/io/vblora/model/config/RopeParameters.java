package io.vblora.model.config;

import io.vblora.JsonFields;

/**
 * Rotary position embedding: base and frequency scaling, as {@code rope_theta} and {@code rope_scaling} of config.json
 * say (or {@code rope_parameters}, which newer files hold instead).
 *
 * @param theta base of the frequencies
 * @param type "default", "linear" or "llama3"
 */
public record RopeParameters(double theta, String type, double factor, double lowFreqFactor, double highFreqFactor,
        double originalMaxPositionEmbeddings) {

    static RopeParameters read(JsonFields config) {
        String key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        JsonFields scaling = config.has(key) ? config.object(key) : null;
        JsonFields thetaFrom = scaling != null && scaling.has("rope_theta") ? scaling : config;
        double theta = thetaFrom.number("rope_theta", 1, 1e12, 10000);
        if (scaling == null) {
            return new RopeParameters(theta, "default", 1, 1, 1, 0);
        }
        String typeKey = scaling.has("rope_type") || !scaling.has("type") ? "rope_type" : "type";
        String type = scaling.string(typeKey, "default");
        return switch (type) {
            case "default" -> new RopeParameters(theta, type, 1, 1, 1, 0);
            case "linear" -> new RopeParameters(theta, type, scaling.number("factor", 1, 1e6), 1, 1, 0);
            case "llama3" -> new RopeParameters(theta, type, scaling.number("factor", 1, 1e6),
                    scaling.number("low_freq_factor", 1e-3, 1e6), scaling.number("high_freq_factor", 1e-3, 1e6),
                    scaling.number("original_max_position_embeddings", 1, 1e9));
            default -> throw scaling.wrong(typeKey, "\"default\", \"linear\" or \"llama3\"");
        };
    }

    /** Angle per position of each pair of a head: headDim / 2 numbers. */
    public double[] inverseFrequencies(int headDim) {
        double[] frequencies = new double[headDim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = scale(Math.pow(theta, -2.0 * i / headDim));
        }
        return frequencies;
    }

    private double scale(double frequency) {
        if (type.equals("linear")) {
            return frequency / factor;
        }
        if (!type.equals("llama3")) {
            return frequency;
        }
        // Long wavelengths are stretched, short ones kept, those between blended (Llama 3.1).
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength < originalMaxPositionEmbeddings / highFreqFactor) {
            return frequency;
        }
        if (wavelength > originalMaxPositionEmbeddings / lowFreqFactor) {
            return frequency / factor;
        }
        double smooth = (originalMaxPositionEmbeddings / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return (1 - smooth) * frequency / factor + smooth * frequency;
    }
}
