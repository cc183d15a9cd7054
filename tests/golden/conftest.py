# SPDX-License-Identifier: MIT
"""Shared by the golden tests: the models that they run, each made once."""

import json
import os
import shutil

import pytest

import formula
import golden


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Yields a function from (model of cases.json, way to name it) to the value of -p."""
    root = str(tmp_path_factory.mktemp("models"))
    made = {}

    def own_config():
        """Copies data/own/own.json with an absolute model_dir."""
        path = os.path.join(root, "own.json")
        with open(os.path.join(golden.DATA, "own", "own.json"), encoding="ascii") as file:
            config = json.load(file)
        config["model_dir"] = os.path.join(golden.DATA, "own")
        with open(path, "w", encoding="ascii") as file:
            json.dump(config, file)
        return path

    def own_imported():
        folder = os.path.join(root, "own-imported")
        golden.run_program("models", "import", "--config", os.path.join(golden.DATA, "own", "own.json"),
                           "-o", folder, os.path.join(golden.DATA, "own"))
        return folder

    def average_folder():
        """Copies models/spleeter-2stems with other settings in its manifest."""
        folder = os.path.join(root, "2stems-average")
        shutil.copytree(os.path.join(golden.MODELS, "spleeter-2stems"), folder)
        path = os.path.join(folder, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        manifest |= {"name": "2stems-average", "bins": 1536, "mask_extension": "average"}
        os.chmod(folder, 0o755)
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        return folder

    def make(model, way):
        if way == "name":
            return f"spleeter:{model}"
        if way == "full-band-name":
            return "2stems"
        if (model, way) == ("2stems-average", "folder"):
            return average_folder()
        if (model, way) == ("own", "config"):
            return own_config()
        if (model, way) == ("own", "imported"):
            return own_imported()
        assert way == "folder"
        folder = os.path.join(root, model)
        formula.write_model_folder(formula.MODELS[model], model, folder)
        return folder

    def get(model, way):
        if (model, way) not in made:
            made[model, way] = make(model, way)
        return made[model, way]

    yield get
    shutil.rmtree(root, ignore_errors=True)
