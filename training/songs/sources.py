# SPDX-License-Identifier: MIT
"""Sources of the sounds. Training and validation share no soundfont, drum kit, one-shot or
voice."""

from dataclasses import dataclass
from pathlib import Path

_FONTS = Path("/usr/share/sounds/sf2")
_KITS = Path("/usr/share/hydrogen/data/drumkits")
_SONIC_PI = Path("/usr/share/sonic-pi/samples")
_LMMS = Path("/usr/share/lmms/samples/drums")

LICENCES = {
    "FluidR3_GM": "MIT", "FluidR3_GS": "MIT", "MuseScore_General_Full": "MIT, parts public domain or CC0",
    "OPL-3_FM_128M": "CC-BY-SA-4.0", "Red_Zeppelin_4_LV2": "CC-BY-SA-3.0", "TimGM6mb": "GPL-2", "sf_GMbank": "LGPL-2.1+",
    "Black_Pearl_4_LV2": "CC-BY-SA-3.0",
    "TR808EmulationKit": "GPL-2+", "GMRockKit": "GPL-2+", "BJA_Pacific": "CC-BY-SA-3.0",
    "ColomboAcousticDrumkit": "GPL-2+ with composition exception", "ElectricEmpireKit": "GPL-2+", "Audiophob": "CC0",
    "Millo-Drums_v.1": "GPL-2", "Millo_MultiLayered2": "GPL-2", "Millo_MultiLayered3": "GPL-2",
    "circAfrique v4": "CC-BY-SA-3.0", "Gimme A Hand 1.0": "GPL-2", "ForzeeStereo": "GPL-2",
    "The Black Pearl 1.0": "GPL-2", "VariBreaks": "GPL-2+", "HardElectro1": "GPL-2+",
    "sonic-pi-samples": "CC0", "lmms-common": "GPL-2+", "synthesis": "MIT (this project)",
    "recordings:grand_piano": "CC-BY-3.0 (Salamander Grand Piano, Alexander Holm)",
    "recordings:strums": "CC-BY-3.0 (belofilms_GuitarStrums, Gabriel Verdugo Soto)",
    "recordings:": "CC0 (sonic-pi-samples), GPL-2+ (lmms-common)",
    "espeak-ng": "GPL-3+ (program)", "flite": "BSD-like (program and voices)",
}


@dataclass(frozen=True)
class Sources:
    fonts: tuple  # General MIDI soundfonts
    font_weights: tuple
    drum_fonts: tuple  # (font, bank, programs)
    drum_font_share: tuple  # for acoustic and for electronic songs
    kits: tuple
    machines: tuple  # kits of electronic drums
    percussion_kits: tuple
    fallback_kit: Path
    one_shots: bool
    synthesis: bool
    voices: tuple  # (engine, voice)


_ESPEAK_LANGUAGES = ("en-us", "en-gb", "en-gb-scotland", "es", "it", "fr-fr", "de", "pt-br", "sv", "pl")
_ESPEAK_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "klatt2", "klatt4")

TRAIN = Sources(
    fonts=(_FONTS / "FluidR3_GM.sf2", _FONTS / "MuseScore_General_Full.sf2", _FONTS / "OPL-3_FM_128M.sf2"),
    font_weights=(0.42, 0.42, 0.16),
    drum_fonts=((_FONTS / "FluidR3_GM.sf2", 128, (0, 1, 4, 8, 16, 24, 25, 32, 40)),
                (_FONTS / "MuseScore_General_Full.sf2", 128, (0, 2, 6, 8, 16, 24, 25, 32, 40)),
                (_FONTS / "Red_Zeppelin_4_LV2.sf2", 0, (0,)), (_FONTS / "Black_Pearl_4_LV2.sf2", 0, (0,))),
    drum_font_share=(0.25, 0.05),
    kits=tuple(_KITS / name for name in (
        "GMRockKit", "The Black Pearl 1.0", "BJA_Pacific", "ColomboAcousticDrumkit", "Millo-Drums_v.1",
        "Millo_MultiLayered2", "Millo_MultiLayered3")),
    machines=tuple(_KITS / name for name in ("TR808EmulationKit", "ElectricEmpireKit", "Audiophob")),
    percussion_kits=(_KITS / "Gimme A Hand 1.0", _KITS / "circAfrique v4"),
    fallback_kit=_KITS / "GMRockKit",
    one_shots=True,
    synthesis=True,
    voices=tuple(("espeak-ng", f"{language}+{variant}")
                 for language in _ESPEAK_LANGUAGES for variant in _ESPEAK_VARIANTS) + (("flite", "kal16"),) * 6,
)

# Held out: nothing below may appear above. This applies to samples, not only to names: GMRockKit
# and the two LV2 soundfonts share recordings with The Black Pearl, and FluidR3 with
# MuseScore_General, so each family stays on one side.
VALIDATION = Sources(
    fonts=(_FONTS / "TimGM6mb.sf2", _FONTS / "sf_GMbank.sf2"),
    font_weights=(0.6, 0.4),
    drum_fonts=((_FONTS / "TimGM6mb.sf2", 128, (0, 8, 16, 32)), (_FONTS / "sf_GMbank.sf2", 128, (0, 8, 16, 32))),
    drum_font_share=(0.4, 0.0),
    kits=(_KITS / "ForzeeStereo",),
    machines=(_KITS / "VariBreaks", _KITS / "HardElectro1"),
    percussion_kits=(),
    fallback_kit=_KITS / "ForzeeStereo",
    one_shots=False,
    synthesis=False,
    voices=(("flite", "rms"), ("flite", "slt"), ("flite", "awb")),
)

ONE_SHOTS = {  # role: (folder, patterns), for training only
    "kick": ((_SONIC_PI, "bd_*.flac"), (_SONIC_PI, "drum_heavy_kick.flac"), (_SONIC_PI, "drum_bass_*.flac"),
             (_SONIC_PI, "elec_*_kick.flac"), (_LMMS, "kick0[1-3].ogg"), (_LMMS, "kick_*.ogg"), (_LMMS, "bassdrum*.ogg")),
    "snare": ((_SONIC_PI, "sn_*.flac"), (_SONIC_PI, "drum_snare_*.flac"), (_SONIC_PI, "elec_*snare.flac"),
              (_LMMS, "snare*.ogg")),
    "rim": ((_SONIC_PI, "perc_snap*.flac"), (_SONIC_PI, "elec_tick.flac"), (_LMMS, "rim*.ogg"),
            (_LMMS, "sidestick*.ogg"), (_LMMS, "wood*.ogg")),
    "clap": ((_LMMS, "clap*.ogg"), (_SONIC_PI, "perc_snap*.flac")),
    "hat_closed": ((_SONIC_PI, "drum_cymbal_closed.flac"), (_LMMS, "hihat_closed*.ogg"), (_SONIC_PI, "elec_tick.flac")),
    "hat_open": ((_SONIC_PI, "drum_cymbal_open.flac"), (_LMMS, "hihat_opened*.ogg"), (_SONIC_PI, "elec_cymbal.flac")),
    "crash": ((_SONIC_PI, "drum_splash_hard.flac"), (_SONIC_PI, "drum_cymbal_hard.flac"), (_LMMS, "crash*.ogg")),
    "ride": ((_SONIC_PI, "drum_cymbal_soft.flac"), (_LMMS, "ride*.ogg")),
    "tom_high": ((_SONIC_PI, "drum_tom_hi_hard.flac"), (_LMMS, "tom_hi*.ogg"), (_LMMS, "tom01.ogg")),
    "tom_mid": ((_SONIC_PI, "drum_tom_mid_hard.flac"), (_LMMS, "tom_mid*.ogg"), (_LMMS, "tom03.ogg")),
    "tom_low": ((_SONIC_PI, "drum_tom_lo_hard.flac"), (_LMMS, "tom_low*.ogg"), (_SONIC_PI, "elec_fuzz_tom.flac")),
    "cowbell": ((_SONIC_PI, "drum_cowbell.flac"), (_SONIC_PI, "elec_bell.flac")),
    "shaker": ((_LMMS, "shaker*.ogg"), (_SONIC_PI, "perc_till.flac")),
}
