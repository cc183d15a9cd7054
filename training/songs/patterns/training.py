# SPDX-License-Identifier: MIT
"""The patterns of the training songs."""

GROOVES = {
    "rock": [
        {"kick": "x.......x.......", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.....x.x.......", "snare": "....X.......X...", "hat_closed": "X.x.X.x.X.x.X.x."},
        {"kick": "x..x....x.x.....", "snare": "....X.......X...", "ride": "x.x.x.x.x.x.x.x."},
        {"kick": "x.x.......x..x..", "snare": "....X..g.g..X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x.x.....", "snare": "....X.......X..g", "hat_open": "x...x...x...x..."},
        {"kick": "x.x.x.x.x.x.x.x.", "snare": "....X.......X...", "crash": "x...x...x...x..."},
        {"kick": "x..x..x.....x.x.", "snare": "....X.......X...", "hat_closed": "xxxxxxxxxxxxxxxx"},
    ],
    "pop": [
        {"kick": "x.......x.x.....", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x..x......x.....", "snare": "....X.......X...", "clap": "....x.......x...", "hat_closed": "x.x.x.x.x.x.x.xx"},
        {"kick": "x.....x...x.....", "snare": "....X.......X...", "hat_closed": "xxxxxxxxxxxxxxxx", "shaker": "x.x.x.x.x.x.x.x."},
        {"kick": "x...x...x...x...", "clap": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x..x..x.........", "rim": "........X.......", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x..x....", "snare": "....X.......X...", "tambourine": "x.x.X.x.x.x.X.x.", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
    "house": [
        {"kick": "X...X...X...X...", "clap": "....x.......x...", "hat_open": "..x...x...x...x."},
        {"kick": "X...X...X...X...", "snare": "....x.......x...", "hat_closed": "x.xxx.xxx.xxx.xx", "hat_open": "..x...x...x...x."},
        {"kick": "X...X...X...X..x", "clap": "....x.......x..x", "hat_closed": "xxxxxxxxxxxxxxxx", "shaker": "x.xxx.xxx.xxx.xx"},
        {"kick": "X...X...X...X...", "rim": "x..x..x...x..x..", "hat_open": "..x...x...x...x."},
        {"kick": "X...X...X...X.x.", "clap": "....x.......x...", "ride": "..x...x...x...x.", "hat_closed": "x...x...x...x..."},
    ],
    "hip-hop": [
        {"kick": "x......x..x.....", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.x.......x..x..", "snare": "....X.......X...", "hat_closed": "x.x.x.xxx.x.x.x."},
        {"kick": "x.......x.......", "snare": "........X.......", "hat_closed": "x.xxx.x.xxx.x.xx", "clap": "........x......."},
        {"kick": "x..x..x....x....", "snare": "........X.......", "hat_closed": "x.x.x.x.xxxxx.x."},
        {"kick": "x.....x.......x.", "clap": "....X.......X...", "hat_closed": "xxx.x.xxx.x.xxx."},
        {"kick": "x..x....x....x..", "snare": "....X..g.g..X...", "hat_closed": "x.x.x.x.x.x.x.x.", "hat_open": "..............x."},
    ],
    "jazz": [
        {"ride": "X...x..xX...x..x", "hat_pedal": "....x.......x...", "kick": "g...g...g...g..."},
        {"ride": "X...x..xX...x..x", "hat_pedal": "....x.......x...", "snare": ".......g......g."},
        {"ride": "X..xx..xX...x..x", "hat_pedal": "....x.......x...", "snare": "...g....g.......", "kick": "..........g....."},
        {"ride": "x.......x..x....", "hat_pedal": "....x.......x...", "rim": "............x..."},
        {"snare": "g..gx..gg..gx..g", "hat_pedal": "....x.......x...", "kick": "x.......x......."},
    ],
    "funk": [
        {"kick": "x.x.......x..x..", "snare": "....X..g.g.gX..g", "hat_closed": "xxxxxxxxxxxxxxxx"},
        {"kick": "x..x..x...x.....", "snare": "....X..g.g..X...", "hat_closed": "x.x.x.x.x.x.x.x.", "hat_open": "..............x."},
        {"kick": "x.....x..x.x....", "snare": ".g..X.g..g.gX.g.", "hat_closed": "X.xxX.xxX.xxX.xx"},
        {"kick": "x.x.....x....x..", "snare": "....X..g....X.g.", "hat_closed": "x.x.x.x.x.x.x.x.", "cowbell": "x...x...x...x..."},
    ],
    "reggae": [
        {"kick": "........x.......", "rim": "........X.......", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x.......", "snare": "........X.......", "hat_closed": "x.xxx.xxx.xxx.xx"},
        {"kick": "x...x...x...x...", "rim": "........X....x..", "hat_closed": "..x...x...x...x."},
        {"kick": "........x.......", "snare": "........X......g", "hat_closed": "x..xx..xx..xx..x"},
    ],
    "metal": [
        {"kick": "xxxxxxxxxxxxxxxx", "snare": "....X.......X...", "crash": "x...x...x...x..."},
        {"kick": "x.xxx.xxx.xxx.xx", "snare": "....X.......X...", "hat_open": "x...x...x...x..."},
        {"kick": "x..x..x..x..x.x.", "snare": "....X.......X...", "china": "x...x...x...x..."},
        {"kick": "x.x.x.x.x.x.x.x.", "snare": ".x.x.x.x.x.x.x.x", "ride": "x.x.x.x.x.x.x.x."},
        {"kick": "xx..xx..x.x.xx..", "snare": "........X.......", "ride": "x...x...x...x..."},
    ],
    "ballad": [
        {"kick": "x.......x.......", "rim": "....x.......x...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.........x.....", "snare": "....X.......X...", "hat_closed": "x...x...x...x..."},
        {"kick": "x.......x.x.....", "snare": "....x.......x...", "ride": "x.x.x.x.x.x.x.x."},
        {"kick": "x..........x....", "snare": "........X.......", "hat_closed": "x.x.x.x.x.x.x.x."},
    ],
    "latin": [
        {"kick": "x..x..x.x..x..x.", "rim": "x..x..x...x.x...", "hat_closed": "xxxxxxxxxxxxxxxx"},
        {"kick": "x..xx..xx..xx..x", "rim": "x..x..x..x..x...", "shaker": "xgxgxgxgxgxgxgxg"},
        {"kick": "x...x...x...x...", "snare": "...x..x....x..x.", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.....x.x.....x.", "cowbell": "x.x.x.xxx.x.x.xx", "conga_high": "....x.......x.xx", "conga_low": "......xx......xx"},
        {"kick": "x.......x.......", "bongo_high": "x.xxx.x.x.xxx.x.", "bongo_low": "......x.......x.", "clave": "x..x..x...x.x..."},
    ],
    "drum'n'bass": [
        {"kick": "x.........x.....", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.x.......x.....", "snare": "....X..g.g..X..g", "hat_closed": "x.xxx.xxx.xxx.xx"},
        {"kick": "x..x......xx....", "snare": "....X..x.x..X...", "ride": "x.x.x.x.x.x.x.x."},
        {"kick": "x.....x...x.....", "snare": "....X.......X..x", "hat_closed": "xxxxxxxxxxxxxxxx"},
    ],
    "country": [
        {"kick": "x...x...x...x...", "snare": "..x...x...x...x.", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x.......", "snare": "gxgxXxgxgxgxXxgx"},
        {"kick": "x.......x.x.....", "snare": "....X.......X...", "hat_closed": "x..xx..xx..xx..x"},
        {"kick": "x...x...x...x...", "rim": "..x...x...x...x.", "tambourine": "..x...x...x...x."},
    ],
    "disco": [
        {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat_open": "..x...x...x...x.", "hat_closed": "x...x...x...x..."},
        {"kick": "X...X...X...X...", "snare": "....X.......X..g", "hat_closed": "x.xxx.xxx.xxx.xx", "cowbell": "x.x.x.x.x.x.x.x."},
        {"kick": "X...X...X...X...", "clap": "....X.......X...", "hat_open": "..x...x...x...x.", "tambourine": "xxxxxxxxxxxxxxxx"},
    ],
    "synthwave": [
        {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat_closed": "x.x.x.x.x.x.x.x."},
        {"kick": "x.......x.......", "snare": "....X.......X...", "hat_closed": "xxxxxxxxxxxxxxxx", "tom_low": ".............xxx"},
        {"kick": "x..x....x.x.....", "snare": "....X.......X...", "clap": "....X.......X...", "hat_open": "..x...x...x...x."},
    ],
}

FILLS = [
    {"snare": "........xxxxxXXX"},
    {"snare": "............xxxx", "kick": "x...x..........."},
    {"tom_high": "........xx......", "tom_mid": "..........xx....", "tom_low": "............xxXX"},
    {"snare": "x.xxx.xx........", "tom_mid": "........x.xx....", "tom_low": "............x.xx"},
    {"snare": "..x..x..x..x..XX", "kick": "x..x..x..x..x..."},
    {"snare": "x.x.x.x.xxxxXXXX"},
    {"tom_high": "....x..x........", "tom_low": "..........x..x..", "snare": "..............XX"},
    {"kick": "x...............", "snare": "..........x.X.XX"},
]

BASS = {
    "rock": ["R.R.R.R.R.R.R.R.", "R---R---R---R---", "R--RR--RR--RR--R", "R.R.R.R.R.R.5.a.", "R-----R-8---5---", "R-R-R-R-5-5-8-a-"],
    "pop": ["R---------R-5---", "R.....R...R.....", "R-R-R-R-R-R-R-R-", "R--R--R---R-----", "R---5---8---5---", "R-------------a-"],
    "house": ["..R...R...R...R.", "R..R..R...R..R..", "..RR..RR..RR..R8", "R.8.R.8.R.8.R.8.", "R..8..R..R..8.7.", "..R-..R-..8-..7-"],
    "hip-hop": ["R-------..R-....", "R--.......R---5-", "R---..R.....7-R-", "R---------------", "R-....R-..8-..R-", "R--R....R-..5-7-"],
    "jazz": ["R---3---5---a---", "R---5---8---a---", "R---7---5---a---", "R---3---5---7---", "R---5---3---a---", "R-------5-----a-"],
    "funk": ["R..R..8.R..7..8.", "R.R..8.R....57R.", "R...R8..R.8...a.", "RR..8.R..7.5..RR", "R..8..R.R..8.57.", "R-..R.8.7.5.R..a"],
    "reggae": ["....R-R-..5-3-..", "R--.R-5-........", "R-..3-..5-......", "R--R--..5--3--..", "..R-..R-5-..8-..", "R-......R-5-3-R-"],
    "metal": ["RRRRRRRRRRRRRRRR", "R.RRR.RRR.RRR.RR", "R--R--R--R--R-R-", "R.R.R.R.R.R.R.R.", "RR..RR..R.R.RR..", "R-------R---a---"],
    "ballad": ["R---------------", "R-------5-------", "R---------R-5---", "R-----------a---", "R-------8---5---"],
    "latin": ["R.....5.....8...", "R..5....8..5....", "...5--8-...5--R-", "R--5--8-R--5--8-", "R...5...8...5...", "R.....5-8-.....5"],
    "drum'n'bass": ["R---------8-----", "R--R......R--5..", "R.....R...7-..8.", "R-----------5-7-", "R-.R..8-..R.7..."],
    "country": ["R-------5-------", "R---5---R---5---", "R-------5-----a-", "R-.R5-.5R-.R5-.a"],
    "disco": ["R.8.R.8.R.8.R.8.", "R..8R..8R..8R.57", "R.8.R.8.5.8.7.8.", "R-8-R-8-R-8-5-7-"],
    "synthwave": ["RRRRRRRRRRRRRRRR", "R.RRR.RRR.RRR.RR", "R.8.R.8.R.8.R.8.", "R-R-R-R-R-R-R-R-"],
}

CHORDS = {
    "sustained": ["X---------------", "X-------X-------", "X-----x---------", "X-------x---x---"],
    "rhythm": ["X---x---X---x---", "X--x--x-X--x--x-", "X.x.X.x.X.x.X.x.", "X--x--X---x-X---", "X-x-xxX-x-xxX-xx", "X---x-x--x--x-x-"],
    "stabs": ["..x...x...x...x.", "X..x....X..x....", "....X.......X...", "x..x..x.........", "X.....X...X.....", "..X..X....X..X.."],
    "offbeat": ["....x.......x...", "..x...x...x...x.", "....x.x.....x.x.", "....xx......xx.."],
    "swing": ["X.....x.........", "...x......X.....", "X--...x-........", "......x-....x-..", "X...........x-..", "...X--....x....."],
    "chug": ["XxxxXxxxXxxxXxxx", "X.xxX.xxX.xxX.xx", "X--xX--xX--xX-xx", "X-------X-------", "Xx.xXx.xXx.xX.x."],
    "montuno": ["x..xx.x..x.xx.x.", "x.xx.xx.x.xx.xx.", "X.x..x.xX.x..x.x"],
}

ARPEGGIOS = ["0123012301230123", "0.1.2.3.2.1.0.1.", "0-2-1-2-0-2-1-2-", "0123210123210123", "3210321032103210", "0.2.3.2.0.2.3.2.",
             "0120120120120120", "0--1--2--3--2-1-", "0.0.3.0.2.0.1.0.", "0-1-2-1-0-1-2-1-", "0213021302130213", "0---1---2---3---"]

MELODIES = ["x-x-x---x-x-x---", "x---x-x-x-------", "..x-x-x-x---....", "x--x--x-x-------", "x-x-x-x-x-x-x---", "....x-x-x-x-x---",
            "x-----x-x---x---", "x---------------", "x--x--x--x--x-x-", "..x-..x-..x-x---", "x-xxx-x-x-------", "x---x---x---....",
            "xxx-x-x-....x-x-", "x-......x-x-x---", "........x-x-x-x-"]

PROGRESSIONS = {
    "major": ["I V vi IV", "I vi IV V", "vi IV I V", "I IV V IV", "I IV vi V", "I V IV V", "I iii IV V", "IV I V vi", "I bVII IV I",
              "I ii IV V", "I Vsus4 vi7 IVmaj7", "I I IV V", "IVmaj7 iii7 vi7 I", "I IV I V", "Iadd9 V6 vi7 IV"],
    "minor": ["i bVI bIII bVII", "i iv bVI V", "i bVII bVI V", "i i bVI bVII", "i iv v i", "i bIII bVII iv", "i bVI iv V7", "i7 iv7 i7 v7",
              "i bVII i bVI", "i v bVI bVII", "i ii7 V7 i"],
    "jazz": ["ii7 V7 Imaj7 vi7", "Imaj7 vi7 ii7 V7", "iii7 vi7 ii7 V7", "Imaj9 IV13 iii7 VI7", "i7 iv7 ii7 V7", "ii9 V13 Imaj9 Imaj7", "I7 IV7 I7 V7",
             "Imaj7 bVII7 Imaj7 V7"],
    "power": ["I5 bVI5 bVII5 I5", "I5 bIII5 IV5 bVI5", "I5 I5 bII5 I5", "I5 IV5 V5 IV5", "I5 bVII5 IV5 I5", "I5 V5 VI5 IV5", "I5 bII5 bIII5 bII5"],
}
