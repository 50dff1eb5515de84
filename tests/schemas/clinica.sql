-- A dental clinic in Spanish without foreign keys: uuid keys, clinica as tenant.
CREATE TABLE migrations (id serial PRIMARY KEY, timestamp bigint NOT NULL, name varchar NOT NULL);
CREATE TABLE clinicas (id uuid PRIMARY KEY, nombre varchar(200) NOT NULL, cif varchar(20), ciudad varchar(100), creado_en timestamptz);
CREATE TABLE usuarios (id uuid PRIMARY KEY, correo varchar(200) NOT NULL UNIQUE, contrasena varchar(200) NOT NULL, nombre varchar(100), apellidos varchar(100));
CREATE TABLE usuarios_clinicas (usuario_id uuid NOT NULL, clinica_id uuid NOT NULL, rol varchar(20), PRIMARY KEY (usuario_id, clinica_id));
CREATE TABLE pacientes (id uuid PRIMARY KEY, clinica_id uuid NOT NULL, nombre varchar(100), apellidos varchar(100), fecha_nacimiento date, telefono varchar(30));
CREATE TABLE citas (id uuid PRIMARY KEY, paciente_id uuid NOT NULL, dentista_id uuid, inicio timestamptz NOT NULL, estado varchar(20));
CREATE TABLE dentistas (id uuid PRIMARY KEY, clinica_id uuid NOT NULL, usuario_id uuid, colegiado varchar(20));
CREATE TABLE tratamientos (id uuid PRIMARY KEY, clinica_id uuid, codigo varchar(20) NOT NULL, nombre varchar(200) NOT NULL);
CREATE TABLE cita_tratamientos (cita_id uuid NOT NULL, tratamiento_id uuid NOT NULL, diente smallint, PRIMARY KEY (cita_id, tratamiento_id));
CREATE TABLE facturas (id uuid PRIMARY KEY, clinica_id uuid NOT NULL, paciente_id uuid NOT NULL, numero varchar(20), total numeric(10,2), fecha date);
CREATE TABLE factura_lineas (id uuid PRIMARY KEY, factura_id uuid NOT NULL, concepto varchar(200), importe numeric(10,2));
CREATE TABLE radiografias (id uuid PRIMARY KEY, paciente_id uuid NOT NULL, fichero varchar(200), tomada_en timestamptz);
CREATE TABLE provincias (codigo char(2) PRIMARY KEY, nombre varchar(60) NOT NULL);
CREATE TABLE festivos (fecha date NOT NULL, provincia_codigo char(2) NOT NULL, nombre varchar(80), PRIMARY KEY (fecha, provincia_codigo));
CREATE TABLE sesiones (id uuid PRIMARY KEY, usuario_id uuid NOT NULL, token varchar(100) NOT NULL, expira timestamptz);
CREATE TABLE auditoria (id bigserial PRIMARY KEY, entidad varchar(50) NOT NULL, entidad_id uuid NOT NULL, accion varchar(20), fecha timestamptz);
