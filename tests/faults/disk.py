"""What a disk may make of a file."""

import random

SECTOR_BYTES = 512


def after_power_cut(synced: bytes, written: bytes, dice: random.Random) -> bytes:
    """Give a state of a file after a power cut: each sector is as it was synced, or as it became.

    Args:
        synced: What the disk was told to hold, as long as *written*.
        written: What stood in memory.
        dice: Decides.
    """
    kept = dice.choice((0.0, 1.0, dice.random()))
    return b"".join(
        (written if dice.random() < kept else synced)[start : start + SECTOR_BYTES]
        for start in range(0, len(written), SECTOR_BYTES)
    )


def with_flipped_bit(data: bytes, dice: random.Random) -> bytes:
    """Give *data* with one bit turned."""
    flipped = bytearray(data)
    flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
    return bytes(flipped)
