"""What the field talks about: numbers, alphabets, states, codes, time. No I/O."""
