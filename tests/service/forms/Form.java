// SPDX-License-Identifier: MIT

import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Posts a form without a class for forms, which java.net.http lacks: Form URL KEY FILE. */
public class Form {
    public static void main(String[] arguments) throws Exception {
        Path path = Path.of(arguments[2]);
        String name = path.getFileName().toString().replace("\"", "%22");
        String boundary = "Boundary" + System.nanoTime();
        String disposition = "Content-Disposition: form-data; name=";
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        body.writeBytes(("--" + boundary + "\r\n" + disposition + "\"stems\"\r\n\r\nvocals, accompaniment\r\n--" + boundary + "\r\n" + disposition
            + "\"file\"; filename=\"" + name + "\"\r\nContent-Type: audio/x-wav\r\n\r\n").getBytes(StandardCharsets.UTF_8));
        body.writeBytes(Files.readAllBytes(path));
        body.writeBytes(("\r\n--" + boundary + "--").getBytes(StandardCharsets.UTF_8));
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("X-API-KEY", arguments[1])
            .header("Content-Type", "multipart/form-data;boundary=" + boundary)
            .POST(HttpRequest.BodyPublishers.ofByteArray(body.toByteArray()))
            .build();
        HttpResponse<byte[]> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
        System.out.write(answer.body());
        System.out.flush();
    }
}
