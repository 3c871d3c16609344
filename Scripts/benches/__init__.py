"""The parts of Scripts/bench: what Farseed's link and agent cost, side by side with what people use today."""
