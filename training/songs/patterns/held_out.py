# SPDX-License-Identifier: MIT
"""The patterns of the validation set. They must never be used in training."""

GROOVES = {
    "rock": [
        {"kick": "x.....xx..x.....", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.x....x..x.....", "snare": "....X.......X.g.", "ride": "X.x.X.x.X.x.X.x."},
        {"kick": "x..x.....xx.....", "snare": "....X.......X...", "hat_open": "x.x.x.x.x.x.x.x."},
    ],
    "pop": [
        {"kick": "x......xx.......", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x.", "tambourine": "....x.......x..."},
        {"kick": "x.x...x...x.....", "snare": "....X.......X...", "hat_closed": "X.xxX.xxX.xxX.xx"},
        {"kick": "x..x..x...x..x..", "clap": "....X.......X...", "hat_closed": "x.x.x.x.x.xxx.x."},
    ],
    "house": [
        {"kick": "X...X...X...X...", "clap": "....x.......x...", "hat_closed": "..x.x.x...x.x.x.", "hat_open": "..x...x...x...x."},
        {"kick": "X...X...X..xX...", "snare": "....x.......x..g", "hat_closed": "x.x.x.xxx.x.x.xx"},
    ],
    "hip-hop": [
        {"kick": "x....x....x.....", "snare": "....X.......X...", "hat_closed": "x.x.xxx.x.x.xxx."},
        {"kick": "x.x..x...x......", "snare": "....X.......X..g", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
    "jazz": [
        {"ride": "X...x..xX...x.xx", "hat_pedal": "....x.......x...", "kick": "g.......g.......", "rim": "............x..g"},
        {"ride": "X.x.x..xX.x.x..x", "hat_pedal": "....x.......x...", "snare": "......g....g...."},
    ],
    "funk": [
        {"kick": "x.x....x..x.....", "snare": "....X.g..g..X.gg", "hat_closed": "x.xxx.xxx.xxx.xx"},
        {"kick": "x...x..x..x..x..", "snare": "....X..g.g..X..g", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
    "reggae": [
        {"kick": "........x.....x.", "rim": "........X.......", "hat_closed": "x..xx.x.x..xx.x."},
        {"kick": "x...x...x...x...", "snare": "........X.....g.", "hat_closed": "x.x.x.xxx.x.x.xx"},
    ],
    "metal": [
        {"kick": "x.xx.xx.x.xx.xx.", "snare": "....X.......X...", "hat_open": "x...x...x...x..."},
        {"kick": "xxx.xxx.xxx.xxx.", "snare": "....X.......X...", "ride": "x...x...x...x..."},
    ],
    "ballad": [
        {"kick": "x......x........", "snare": "....x.......x...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x......x", "rim": "....x.......x..x", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
    "latin": [
        {"kick": "x..x....x..x....", "rim": "..x.x...x..x..x.", "hat_closed": "x.xxx.xxx.xxx.xx"},
        {"kick": "x.....x.x.....x.", "rim": "x..x..x...x..x..", "hat_closed": "xxxxxxxxxxxxxxxx"},
    ],
    "drum'n'bass": [
        {"kick": "x.......x.x.....", "snare": "....X..g....X.g.", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x..x.....xx.....", "snare": "....X.......X.x.", "hat_closed": "x.xxx.x.x.xxx.x."},
    ],
    "country": [
        {"kick": "x...x...x...x..x", "snare": "..x...x...x...xx", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x......xx.......", "snare": "....X.......X.x.", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
}

FILLS = [
    {"snare": "........x.xxX.XX", "kick": "x...x..........."},
    {"tom_high": "....xx.x........", "tom_mid": "........xx.x....", "tom_low": "............xxXX"},
    {"snare": "....x..x..x.x.XX", "kick": "x..x............"},
]

BASS = {
    "rock": ["R-R-R-RRR-R-5-a-", "R--R--R-R-R-R-a-", "R-----RRR---5-8-"],
    "pop": ["R------RR---5---", "R-..R-R-R-..5-8-", "R--R--R-5---8---"],
    "house": ["R.R8..R.R..8..R.", "..R8..R8..R8.57."],
    "hip-hop": ["R----R....R---7-", "R-R-.R...5--..R-"],
    "jazz": ["R---8---5---a---", "R---3---7---a---"],
    "funk": ["R-8..R.R..7.8..a", "R..R.8..R.57..8."],
    "reggae": ["R-R-..3-5-..3-..", "..R-R-5-..3-R-.."],
    "metal": ["R.RR.RR.R.RR.RR.", "RRR.RRR.RRR.RRR."],
    "ballad": ["R------5--------", "R-------3---5---"],
    "latin": ["R..5..8...5-..8-", "R-....5-..8-..5-"],
    "drum'n'bass": ["R-----R---8---7-", "R--.R-....5-..8-"],
    "country": ["R---....5---..a-", "R-R-5---R-R-5-a-"],
}

CHORDS = {
    "sustained": ["X---------x-----", "X-----X---------"],
    "rhythm": ["X--x-x--X--x-x--", "X-x--x-xX-x--x--"],
    "stabs": ["x..x.....x..x...", "..x..x....x.x..."],
    "offbeat": ["..x...xx..x...xx", "....x..x....x..x"],
    "swing": ["...x..x-....x...", "X--....x........"],
    "chug": ["X.xX.xX.X.xX.xX.", "Xxx.Xxx.Xxx.Xxx."],
    "montuno": ["x.x..x.xx.x..xx."],
}

ARPEGGIOS = ["0-12-10-12-3-21-", "0231023102310231", "0.3.1.3.2.3.1.3.", "0--2--1--3--1-2-"]

MELODIES = ["x-x---x-x---x---", "x-----x-..x-x---", "..x-x---x-x-x---", "x--x----x--x----", "x-x-x-----x-x---"]

PROGRESSIONS = {
    "major": ["I iii vi IV", "vi V IV V", "I V ii IV", "IV V iii vi", "I bVII bIII IV"],
    "minor": ["i bVI bVII iv", "i bIII iv bVI", "i iv bVII bIII", "i bVII iv bVI"],
    "jazz": ["Imaj7 ii7 iii7 VI7", "ii7 V7 iii7 vi7"],
    "power": ["I5 IV5 bVI5 bVII5", "I5 bIII5 bVII5 IV5"],
}
